//! The locks that hold once the view stands: limits, no capabilities, no new privileges, Landlock as a
//! second lock over files, and a seccomp filter over the kernel's riskier calls.
//!
//! The filter lets everything pass but a list, for real test suites use most of the kernel. A program meets
//! `EPERM`, or `ENOSYS` for `clone3` (whose flags a filter cannot read, so that C libraries fall back to `clone`), or
//! `EAFNOSUPPORT` for families of sockets other than Unix, IPv4, IPv6 and the kernel's route messages.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::super::policy::{Mount, Network, Policy};
use super::super::system;
use super::{AtStage, SetupError};

/// Locks this process and all it will start. Tells what this kernel could not lock.
pub(crate) fn lock_down(policy: &Policy) -> Result<Vec<String>, SetupError> {
    let mut weaker = Vec::new();
    system::drop_capabilities().at("give up the capabilities")?;
    rustix::thread::set_no_new_privs(true).at("forbid new privileges")?;
    match restrict_files(policy) {
        Ok(RulesetStatus::NotEnforced) => {
            weaker.push("Landlock is off in this kernel: files have one lock, the mounts".into());
            if policy.network == Network::Host {
                weaker.push("and abstract Unix sockets of the machine can be reached".into());
            }
        }
        Ok(RulesetStatus::PartiallyEnforced) if policy.network == Network::Host => weaker.push(
            "this kernel's Landlock may be too old (before Linux 6.12) to keep abstract Unix sockets of the machine out of reach"
                .into(),
        ),
        Ok(_) => {}
        Err(error) => return Err(error).at("apply Landlock"),
    }
    for program in filters().at("compile the seccomp filter")? {
        seccompiler::apply_filter(&program)
            .map_err(io::Error::other)
            .at("apply the seccomp filter")?;
    }
    Ok(weaker)
}

fn restrict_files(policy: &Policy) -> io::Result<RulesetStatus> {
    let abi = ABI::V6;
    let all = AccessFs::from_all(abi);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)
        .map_err(io::Error::other)?;
    if policy.network == Network::Host {
        // With the machine's network come its abstract Unix sockets, which only this keeps out.
        ruleset = ruleset
            .scope(Scope::AbstractUnixSocket)
            .map_err(io::Error::other)?;
    }
    let created = ruleset.create().map_err(io::Error::other)?;
    let mut created = add(created, Path::new("/"), AccessFs::from_read(abi))?;
    for path in writable(policy) {
        created = add(created, &path, all)?;
    }
    created
        .restrict_self()
        .map(|status| status.ruleset)
        .map_err(io::Error::other)
}

fn add(
    ruleset: landlock::RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> io::Result<landlock::RulesetCreated> {
    let folder = PathFd::new(path).map_err(io::Error::other)?;
    let allowed = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(ABI::V6)
    };
    ruleset
        .add_rule(PathBeneath::new(folder, allowed))
        .map_err(io::Error::other)
}

fn writable(policy: &Policy) -> Vec<PathBuf> {
    let own = policy
        .mounts
        .iter()
        .filter(|mount| !matches!(mount, Mount::ReadOnly { .. }))
        .map(|mount| mount.target().clone());
    let shared = ["/tmp", "/var/tmp", "/dev", "/proc", super::view::SESSION].map(PathBuf::from);
    let all = own
        .chain(shared)
        .chain(policy.toolchains.iter().cloned())
        .chain([policy.home.clone()]);
    all.filter(|path| path.exists()).collect()
}

/// Calls that no test suite needs and that reach beyond the sandbox, or have been the way out of one.
const FORBIDDEN: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_syslog,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_nfsservctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Namespaces that `clone` and `unshare` could make.
const NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64
    | 0x80;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn filters() -> io::Result<Vec<BpfProgram>> {
    let mut forbidden = Rules::new();
    for &call in FORBIDDEN {
        insert(&mut forbidden, call, Vec::new());
    }
    for bit in (0..64).map(|bit| 1u64 << bit).filter(|bit| NAMESPACES & bit != 0) {
        let asks_for = |argument| condition(argument, Len::Qword, Op::MaskedEq(bit), bit);
        // CLONE_NEWTIME shares its bit with the exit signal's byte in `clone`'s flags.
        if bit != 0x80 {
            insert(&mut forbidden, libc::SYS_clone, vec![rule(vec![asks_for(0)?])?]);
        }
        insert(&mut forbidden, libc::SYS_unshare, vec![rule(vec![asks_for(0)?])?]);
    }
    #[allow(
        clippy::unnecessary_cast,
        reason = "the C libraries give these numbers different types"
    )]
    // Typing into a terminal, and the console's own way of doing so.
    let typing = [libc::TIOCSTI as u64, libc::TIOCLINUX as u64];
    for request in typing {
        insert(
            &mut forbidden,
            libc::SYS_ioctl,
            vec![rule(vec![condition(1, Len::Dword, Op::Eq, request)?])?],
        );
    }
    // The supervisor's own limits: nobody inside shall end it by lowering them.
    insert(
        &mut forbidden,
        libc::SYS_prlimit64,
        vec![rule(vec![condition(0, Len::Dword, Op::Eq, 1)?])?],
    );
    let mut absent = Rules::new();
    insert(&mut absent, libc::SYS_clone3, Vec::new());
    let mut families = Rules::new();
    let allowed = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let other = allowed
        .iter()
        .map(|&family| condition(0, Len::Dword, Op::Ne, family as u64))
        .collect::<io::Result<Vec<_>>>()?;
    insert(&mut families, libc::SYS_socket, vec![rule(other.clone())?]);
    insert(&mut families, libc::SYS_socketpair, vec![rule(other)?]);
    let route = condition(2, Len::Dword, Op::Ne, libc::NETLINK_ROUTE as u64)?;
    let netlink = condition(0, Len::Dword, Op::Eq, libc::AF_NETLINK as u64)?;
    insert(&mut families, libc::SYS_socket, vec![rule(vec![netlink, route])?]);
    let mut filters = vec![
        compile(families, libc::EAFNOSUPPORT)?,
        compile(absent, libc::ENOSYS)?,
        compile(forbidden, libc::EPERM)?,
    ];
    if cfg!(target_arch = "x86_64") {
        filters.push(no_x32_calls());
    }
    Ok(filters)
}

fn insert(rules: &mut Rules, call: libc::c_long, conditions: Vec<SeccompRule>) {
    rules.entry(call).or_default().extend(conditions);
}

/// Answers `ENOSYS` to every call through the x32 numbers, which filters on the plain numbers let pass. All of them, for
/// x32 has numbers of its own for some calls (`ptrace`, `ioctl`, `process_vm_readv` among them).
fn no_x32_calls() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let statement = |code: u32, jt: u8, jf: u8, k: u32| sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    vec![
        // The call's number is the first word; the other filters kill calls of another architecture.
        statement(LOAD, 0, 0, 0),
        statement(AT_LEAST, 0, 1, X32),
        statement(
            RETURN,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
        ),
        statement(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

fn condition(argument: u8, length: Len, operator: Op, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, length, operator, value).map_err(io::Error::other)
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

fn compile(rules: Rules, errno: i32) -> io::Result<BpfProgram> {
    let target = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(errno.unsigned_abs()),
        target,
    )
    .and_then(BpfProgram::try_from)
    .map_err(io::Error::other)
}
