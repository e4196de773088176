//! Python: the suites of two real packages, the standard library's servers and pools, and installs from wheels.

use super::{pass, python_workshop, workshop, write};
use crate::session::harness::need;

/// How many tests pytest says have passed; it fails when one did not.
fn passed(text: &str) -> usize {
    let summary = text.lines().last().unwrap_or_default();
    assert!(
        !summary.contains("failed") && !summary.contains("error"),
        "{summary}"
    );
    let mut words = summary.split_whitespace();
    let mut before = "0";
    for word in &mut words {
        if word.starts_with("passed") {
            return before.parse().unwrap();
        }
        before = word;
    }
    panic!("pytest did not say what passed: {summary}");
}

#[test]
fn the_suite_of_a_server_on_asyncio() {
    let (mut inside, environment) = python_workshop();
    let text = pass(
        &mut inside,
        "tornado",
        &format!(
            "{}/bin/python -m pytest -q -p no:cacheprovider -k 'not Mixin' --pyargs tornado.test.process_test \
             tornado.test.asyncio_test tornado.test.iostream_test tornado.test.tcpserver_test tornado.test.locks_test",
            environment.display()
        ),
    );
    assert!(passed(&text) > 100, "{text}");
}

/// Without `test_error_capture`, which now and then hangs on a busy machine outside of any sandbox too (one of eight runs
/// side by side did).
#[test]
fn the_suite_of_a_package_on_multiprocessing() {
    let (mut inside, environment) = python_workshop();
    let text = pass(
        &mut inside,
        "joblib",
        &format!(
            "{}/bin/python -m pytest -q -p no:cacheprovider -k 'multiprocessing and not loky and not error_capture' \
             --pyargs joblib.test.test_parallel",
            environment.display()
        ),
    );
    assert!(passed(&text) > 20, "{text}");
}

const STANDARD_LIBRARY: &str = r#"
import concurrent.futures, http.client, http.server, multiprocessing, os, pathlib, socket, socketserver
import sqlite3, subprocess, sys, tempfile, threading, time, unittest, asyncio

def square(n):
    return n * n

def put(queue, n):
    queue.put((n, os.getpid()))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")
    def log_message(self, *_):
        pass

class StandardLibrary(unittest.TestCase):
    def test_http_on_loopback(self):
        for host, family in (("127.0.0.1", socket.AF_INET), ("localhost", socket.AF_INET)):
            server = http.server.ThreadingHTTPServer((host, 0), Handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            connection = http.client.HTTPConnection(host, server.server_address[1], timeout=5)
            connection.request("GET", "/")
            self.assertEqual(connection.getresponse().read(), b"hello")
            server.shutdown()
            server.server_close()

    def test_unix_sockets(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            server = socket.socket(socket.AF_UNIX)
            server.bind(path)
            server.listen()
            client = socket.socket(socket.AF_UNIX)
            client.connect(path)
            peer, _ = server.accept()
            client.sendall(b"x")
            self.assertEqual(peer.recv(1), b"x")
            for end in (server, client, peer):
                end.close()
        a, b = socket.socketpair()
        a.sendall(b"y")
        self.assertEqual(b.recv(1), b"y")
        a.close(), b.close()

    def test_sqlite(self):
        with tempfile.TemporaryDirectory() as folder:
            for mode in ("delete", "wal"):
                base = sqlite3.connect(os.path.join(folder, mode))
                base.execute(f"pragma journal_mode={mode}")
                base.execute("create table t (n)")
                base.executemany("insert into t values (?)", ((n,) for n in range(1000)))
                base.commit()
                self.assertEqual(base.execute("select sum(n) from t").fetchone()[0], 499500)
                base.close()

    def test_temporary_files(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"x" * 100000)
            file.flush()
            self.assertEqual(os.stat(file.name).st_size, 100000)
        with tempfile.TemporaryFile() as file:
            file.write(b"x")

    def test_subprocess(self):
        done = subprocess.run([sys.executable, "-c", "print(input())"], input="x\n", text=True, capture_output=True)
        self.assertEqual(done.stdout, "x\n")
        with self.assertRaises(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "10"], timeout=0.2)

    def test_pools(self):
        for pool in (concurrent.futures.ThreadPoolExecutor, concurrent.futures.ProcessPoolExecutor):
            with pool(4) as workers:
                self.assertEqual(list(workers.map(square, range(50))), [n * n for n in range(50)])

    def test_every_start_method(self):
        for method in ("fork", "spawn", "forkserver"):
            with self.subTest(method):
                context = multiprocessing.get_context(method)
                with context.Pool(2) as pool:
                    self.assertEqual(pool.map(square, range(20)), [n * n for n in range(20)])
                queue = context.Queue()
                workers = [context.Process(target=put, args=(queue, n)) for n in range(3)]
                [worker.start() for worker in workers]
                got = sorted(queue.get(timeout=20) for _ in workers)
                [worker.join() for worker in workers]
                self.assertEqual([n for n, _ in got], [0, 1, 2])
                with context.Manager() as manager:
                    shared = manager.dict(a=1)
                    shared["b"] = 2
                    self.assertEqual(dict(shared), {"a": 1, "b": 2})

    def test_shared_memory(self):
        from multiprocessing import shared_memory
        block = shared_memory.SharedMemory(create=True, size=1 << 20)
        block.buf[0] = 7
        again = shared_memory.SharedMemory(block.name)
        self.assertEqual(again.buf[0], 7)
        again.close(), block.close(), block.unlink()

    def test_asyncio(self):
        async def talk():
            async def serve(reader, writer):
                writer.write(await reader.readline())
                await writer.drain()
                writer.close()
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"line\n")
            line = await reader.readline()
            writer.close()
            server.close()
            process = await asyncio.create_subprocess_exec("echo", "hi", stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            return line, out
        self.assertEqual(asyncio.run(talk()), (b"line\n", b"hi\n"))

if __name__ == "__main__":
    unittest.main()
"#;

#[test]
fn the_standard_librarys_servers_pools_and_databases() {
    need("python3", "python3");
    let mut inside = workshop();
    write(&inside, &[("test_standard.py", STANDARD_LIBRARY)]);
    let text = pass(
        &mut inside,
        "unittest",
        "python3 -W error::ResourceWarning -m unittest test_standard",
    );
    assert!(text.contains("Ran 9 tests") && text.contains("OK"), "{text}");
}

const BUILD_WHEEL: &str = r#"
import base64, hashlib, zipfile
files = {
    "tiny_pack/__init__.py": b"def answer():\n    return 42\n",
    "tiny_pack/__main__.py": b"from . import answer\nprint(answer())\n",
    "tiny_pack-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-pack\nVersion: 1.0\n",
    "tiny_pack-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "tiny_pack-1.0.dist-info/entry_points.txt": b"[console_scripts]\ntiny-pack = tiny_pack:answer\n",
}
record = ""
with zipfile.ZipFile("tiny_pack-1.0-py3-none-any.whl", "w") as wheel:
    for name, text in files.items():
        wheel.writestr(name, text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text)}\n"
    wheel.writestr("tiny_pack-1.0.dist-info/RECORD", record + "tiny_pack-1.0.dist-info/RECORD,,\n")
"#;

#[test]
fn pip_installs_a_local_wheel_into_a_virtual_environment() {
    need("python3", "python3 and python3-venv");
    let mut inside = workshop();
    write(&inside, &[("build_wheel.py", BUILD_WHEEL)]);
    let text = pass(
        &mut inside,
        "pip",
        "set -o pipefail; python3 build_wheel.py && python3 -m venv venv && . venv/bin/activate && \
         pip install --no-index --disable-pip-version-check ./tiny_pack-1.0-py3-none-any.whl && python -m tiny_pack && deactivate",
    );
    assert!(
        text.contains("Successfully installed tiny") && text.ends_with("42\n"),
        "{text}"
    );
    // The environment is there for later commands.
    assert_eq!(inside.run("venv/bin/tiny-pack").exited(42), "");
}
