//! What must work inside, so that the attacks prove something and real test suites run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::harness::{Inside, SECRETS, both, is_superuser, outside};

#[test]
fn the_superusers_half_runs_or_its_absence_is_told() {
    // `both` does the same for each test; this names it once for who reads the list of tests.
    if !is_superuser() && std::env::var_os("CWM_TEST_ORDINARY_USER").is_none() {
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "note: these tests do not run as the superuser: the sandbox was attacked as an ordinary user only"
        );
        return;
    }
    both(|world| {
        let own = rustix::process::getuid().as_raw();
        assert_eq!(world.inside().ok("id -u; id -g").trim(), format!("{own}\n{own}"));
    });
}

#[test]
fn the_copy_home_and_temporary_folders_can_be_written() {
    both(|world| {
        let mut inside = world.inside();
        inside.ok("for folder in . src ~ /tmp /var/tmp /dev/shm ~/.cargo; do echo x >$folder/new && rm $folder/new || exit 1; done");
        inside.ok("echo more >>src/main.txt; mv src/main.txt src/moved.txt; mkdir -p a/b; ln -s b a/link; chmod 750 a");
        let upper = world.path("layers/upper");
        assert_eq!(
            fs::read_to_string(upper.join("src/moved.txt")).unwrap(),
            "one\ntwo\nthree\nmore\n"
        );
        assert_eq!(fs::read_link(upper.join("a/link")).unwrap(), Path::new("b"));
        assert_eq!(SECRETS.len(), 9);
        world.assert_untouched();
    });
}

#[test]
fn sockets_of_its_own_work() {
    both(|world| {
        let mut inside = world.inside();
        inside.ok("cat >/tmp/sockets.py <<'END'
import asyncio, socket, threading
async def main():
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper()); await writer.drain(); writer.close()
    for host in ('127.0.0.1', '::1', 'localhost'):
        server = await asyncio.start_server(serve, host, 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b'hello\\n'); assert await reader.read() == b'HELLO\\n'
        server.close()
    server = await asyncio.start_unix_server(serve, '/tmp/own.sock')
    reader, writer = await asyncio.open_unix_connection('/tmp/own.sock')
    writer.write(b'hello\\n'); assert await reader.read() == b'HELLO\\n'
    process = await asyncio.create_subprocess_exec('echo', 'child', stdout=asyncio.subprocess.PIPE)
    assert (await process.communicate())[0] == b'child\\n'
asyncio.run(main())
abstract = socket.socket(socket.AF_UNIX); abstract.bind('\\0own'); abstract.listen()
client = socket.socket(socket.AF_UNIX); client.connect('\\0own')
left, right = socket.socketpair(); left.send(b'x'); assert right.recv(1) == b'x'
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); one.bind(('127.0.0.1', 0))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', one.getsockname()); assert one.recv(1) == b'x'
assert socket.gethostbyname(socket.gethostname()) == '127.0.0.1', socket.gethostname()
assert 'lo' in [name for _, name in socket.if_nameindex()]
END
             python3 /tmp/sockets.py");
    });
}

#[test]
fn multiprocessing_works() {
    both(|world| {
        let mut inside = world.inside();
        inside.ok("cat >/tmp/many.py <<'END'
import concurrent.futures, multiprocessing, multiprocessing.shared_memory, os, threading
def square(x): return x * x
if __name__ == '__main__':
    for method in ('fork', 'spawn', 'forkserver'):
        context = multiprocessing.get_context(method)
        with context.Pool(3) as pool: assert pool.map(square, range(10)) == [x * x for x in range(10)]
        queue = context.Queue(); process = context.Process(target=queue.put, args=('x',))
        process.start(); assert queue.get(timeout=20) == 'x'; process.join()
        lock = context.Lock(); value = context.Value('i', 3)
        with lock: value.value += 1
        manager = context.Manager(); shared = manager.dict(a=1); assert shared['a'] == 1; manager.shutdown()
    with concurrent.futures.ProcessPoolExecutor(2) as pool: assert list(pool.map(square, [2, 3])) == [4, 9]
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
    memory.buf[0] = 7; memory.close(); memory.unlink()
    threads = [threading.Thread(target=square, args=(1,)) for _ in range(50)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert len(os.sched_getaffinity(0)) >= 1
END
             python3 /tmp/many.py");
    });
}

#[test]
fn builds_and_terminals_work() {
    both(|world| {
        let mut inside = world.inside();
        inside.ok(
            "mkdir build && cd build && printf '#include <stdio.h>\\nint one(void) { return 1; }\\n' >one.c &&
             printf '#include <stdio.h>\\nint one(void); int main(void) { printf(\"%%d\\\\n\", one()); }\\n' >main.c &&
             printf 'all: main\\nmain: main.o one.o\\n\\tcc -o $@ $^\\n%%.o: %%.c\\n\\tcc -c $<\\n' >Makefile &&
             make -j4 && [ \"$(./main)\" = 1 ]",
        );
        inside.ok("cat >/tmp/terminal.py <<'END'
import os, pty, sys
status = pty.spawn(['sh', '-c', 'test -t 0 && test -t 1 && tty && stty size'])
sys.exit(os.waitstatus_to_exitcode(status))
END
             python3 /tmp/terminal.py && python3 -c 'import os, pty
a, b = pty.openpty(); os.write(b, b\"x\"); assert os.read(a, 1) == b\"x\"; print(os.ttyname(b))'
             script -qec 'echo in a terminal' /dev/null | grep -q 'in a terminal'");
        inside.ok("flock /tmp/lock true; mkfifo /tmp/fifo; (echo x >/tmp/fifo &); read -r line </tmp/fifo; [ \"$line\" = x ]");
        inside.ok("timeout 5 python3 -c 'import select, os, signal, mmap, tempfile, inspect
e = select.epoll(); os.eventfd(0); os.memfd_create(\"m\"); os.pidfd_open(os.getpid()); signal.setitimer(signal.ITIMER_REAL, 9)
mmap.mmap(-1, 4096).close(); tempfile.TemporaryFile().close(); os.getrandom(8); os.nice(1)'");
    });
}

#[test]
fn git_works_in_the_copy() {
    both(|world| {
        outside("git", &["init", "-q"], &world.path("snapshot"));
        let mut inside = world.inside();
        inside.ok(
            "git -c user.name=A -c user.email=a@b commit -q --allow-empty -m empty && git add . &&
             git -c user.name=A -c user.email=a@b commit -qm all && git status --porcelain && git log --oneline | wc -l",
        );
        let said = inside
            .ok("git stash list; git worktree add -q /tmp/tree && ls /tmp/tree && git gc -q && git fsck");
        assert!(said.contains("src"), "{said}");
    });
}

#[test]
fn many_sandboxes_at_once_do_not_meet() {
    both(|world| {
        std::thread::scope(|scope| {
            #[allow(clippy::needless_collect, reason = "all must have started before the first is waited for")]
            let all: Vec<_> = (0..4)
                .map(|number| {
                    scope.spawn(move || {
                        let mut policy = world.policy();
                        policy.mounts.remove(0);
                        policy.working_directory = "/tmp".into();
                        let mut inside = Inside::start_with(policy, Duration::from_secs(20));
                        inside.ok(&format!("echo {number} >/tmp/mine; echo {number} >~/mine; echo {number} >/dev/shm/mine; sleep 0.2"));
                        inside.ok("cat /tmp/mine ~/mine /dev/shm/mine | sort -u").trim().to_owned()
                    })
                })
                .collect();
            for (number, thread) in all.into_iter().enumerate() {
                assert_eq!(thread.join().unwrap(), number.to_string());
            }
        });
    });
}
