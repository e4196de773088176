//! Container engines: finds Docker's and Podman's sockets and asks each whether it answers, in HTTP/1.1 by
//! hand, so that the doctor needs no engine's library and cannot hang on a daemon that does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::cli::doctor::check::Check;
use crate::cli::doctor::http;
use crate::cli::doctor::system::System;

const NAME: &str = "container-engine";
/// How long one engine may take to answer both questions.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn check(system: &System) -> Check {
    let mut reasons = Vec::new();
    let mut forbidden = false;
    for address in addresses(system) {
        match ask(&address) {
            Ok(engine) => return Check::ok(NAME, format!("{engine} at {address}")),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                forbidden |= error.kind() == ErrorKind::PermissionDenied;
                reasons.push(format!("{address}: {error}"));
            }
        }
    }
    let found = match reasons.is_empty() {
        true => "neither Docker nor Podman was found".to_owned(),
        false => format!("none answers ({})", reasons.join("; ")),
    };
    let cure = if forbidden {
        "Let this user reach Docker: sudo usermod -aG docker \"$USER\" (members of that group are as good as root), \
         then log in again; or use Podman or rootless Docker."
    } else {
        "Needed only for --sandbox container. Install Docker or Podman and start it: sudo systemctl start docker, \
         or systemctl --user start podman.socket."
    };
    Check::warn(NAME, found, cure)
}

/// Where an engine may listen.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Unix(PathBuf),
    Tcp(String),
    /// An address that is not asked, and why.
    Other(String, &'static str),
}

impl std::fmt::Display for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Unix(path) => write!(out, "{}", path.display()),
            Address::Tcp(address) => write!(out, "tcp://{address}"),
            Address::Other(address, _) => out.write_str(address),
        }
    }
}

/// The places to ask, the user's own choice first; when it is made, no other counts.
fn addresses(system: &System) -> Vec<Address> {
    let environment = system.environment;
    let chosen = ["DOCKER_HOST", "CONTAINER_HOST"]
        .iter()
        .find_map(|name| environment.get(name));
    if let Some(chosen) = chosen {
        let encrypted = environment.get("DOCKER_TLS_VERIFY").is_some();
        return vec![address_of(&chosen.to_string_lossy(), encrypted)];
    }
    let runtime_folder = environment
        .absolute_path("XDG_RUNTIME_DIR")
        .unwrap_or_else(|| format!("/run/user/{}", rustix::process::geteuid().as_raw()).into());
    let mut paths = vec![
        system.path("/var/run/docker.sock"),
        runtime_folder.join("docker.sock"),
        runtime_folder.join("podman/podman.sock"),
        system.path("/run/podman/podman.sock"),
    ];
    paths.extend(
        environment
            .absolute_path("HOME")
            .map(|home| home.join(".docker/run/docker.sock")),
    );
    paths.into_iter().map(Address::Unix).collect()
}

fn address_of(text: &str, encrypted: bool) -> Address {
    match text.split_once("://") {
        Some(("unix", path)) => Address::Unix(path.into()),
        Some(("tcp", _)) if encrypted => Address::Other(text.to_owned(), "it speaks TLS, and was not asked"),
        Some(("tcp" | "http", address)) => Address::Tcp(address.trim_end_matches('/').to_owned()),
        _ => Address::Other(text.to_owned(), "only unix:// and tcp:// addresses are asked"),
    }
}

/// The engine's name and version, if it answers.
fn ask(address: &Address) -> io::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    match address {
        Address::Unix(path) => talk(deadline, || connect_unix(path)),
        Address::Tcp(address) => talk(deadline, || connect_tcp(address, deadline)),
        Address::Other(_, reason) => Err(io::Error::new(ErrorKind::Unsupported, *reason)),
    }
}

/// A stream whose reads and writes can be given a time limit.
trait Timed: Read + Write {
    fn limit(&self, patience: Duration) -> io::Result<()>;
}

impl Timed for UnixStream {
    fn limit(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
            .and_then(|()| self.set_write_timeout(Some(patience)))
    }
}

impl Timed for TcpStream {
    fn limit(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
            .and_then(|()| self.set_write_timeout(Some(patience)))
    }
}

fn talk<Stream: Timed>(deadline: Instant, open: impl Fn() -> io::Result<Stream>) -> io::Result<String> {
    let get = |path: &str| -> io::Result<Vec<u8>> {
        let mut stream = open()?;
        // A limit on each read, within one on the whole, so that a trickle of bytes ends too.
        let arm = |stream: &Stream| match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::Error::from(ErrorKind::TimedOut)),
            left => stream.limit(left),
        };
        http::get(&mut stream, path, arm).map_err(explain)
    };
    let pong = get("/_ping")?;
    if pong.trim_ascii() != b"OK" {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "what listens there is no container engine",
        ));
    }
    let version: serde_json::Value = serde_json::from_slice(&get("/version")?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it does not say its version"))?;
    Ok(describe(&version))
}

/// The system's words for a read that timed out are "resource temporarily unavailable".
fn explain(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::new(
            ErrorKind::TimedOut,
            format!("no answer within {} s", PATIENCE.as_secs()),
        ),
        _ => error,
    }
}

/// Podman says who it is in `Components`; Docker's first component is its engine.
fn describe(version: &serde_json::Value) -> String {
    let component = version["Components"][0]["Name"].as_str().unwrap_or_default();
    let name = if component.to_ascii_lowercase().contains("podman") {
        "Podman"
    } else {
        "Docker"
    };
    let text = |key: &str| {
        version[key]
            .as_str()
            .unwrap_or("unknown")
            .chars()
            .take(40)
            .collect::<String>()
    };
    format!("{name} {} (API {})", text("Version"), text("ApiVersion"))
}

/// Connects without waiting: a daemon that does not accept connections has a full queue, and is said to hang.
fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?).map_err(|error| match error {
        rustix::io::Errno::AGAIN => io::Error::new(ErrorKind::TimedOut, "it accepts no connections"),
        rustix::io::Errno::CONNREFUSED => {
            io::Error::new(ErrorKind::ConnectionRefused, "nothing listens there")
        }
        other => other.into(),
    })?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn connect_tcp(address: &str, deadline: Instant) -> io::Result<TcpStream> {
    let target = address
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(ErrorKind::AddrNotAvailable, "the name has no address"))?;
    let left = deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_millis(1));
    TcpStream::connect_timeout(&target, left)
}

#[cfg(test)]
#[path = "engines_tests.rs"]
mod tests;
