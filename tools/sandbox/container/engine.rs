//! Container engines: where one listens, which one it is, and a blocking way to ask it things.
//!
//! The engine's library is asynchronous. Its runtime lives in one thread of this room, which takes questions one at a time and has
//! a time limit for each; nothing asynchronous leaves this file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as ApiError;

use super::unavailable;
use crate::sandbox::SandboxError;

/// How long an engine may take to say what it is.
const GREETING: Duration = Duration::from_secs(5);
/// How long it may take to do anything else. A busy disk makes an engine slow, so this is only to end a wait for one that hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Docker, or what calls itself so.
    Docker,
    /// Podman's service.
    Podman,
}

impl EngineKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Docker => "Docker",
            EngineKind::Podman => "Podman",
        }
    }

    /// The engine's own command.
    pub(super) fn command(self) -> &'static str {
        match self {
            EngineKind::Docker => "docker",
            EngineKind::Podman => "podman",
        }
    }
}

/// An engine that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Where it listens.
    pub socket: PathBuf,
    /// Which it is.
    pub kind: EngineKind,
    /// Its own version.
    pub version: String,
    /// Whether it runs as an ordinary user, who is root inside its containers.
    pub rootless: bool,
}

/// A socket that is there, and what answered.
#[derive(Debug)]
pub struct Found {
    /// The socket.
    pub socket: PathBuf,
    /// The engine behind it, or why there is none.
    pub engine: Result<Engine, String>,
    /// Whether this user may not talk to it.
    pub forbidden: bool,
}

/// Asks at every place where an engine may listen. `environment` is the user's: when `DOCKER_HOST` or `CONTAINER_HOST` is set,
/// only that place is asked, and told of even if nothing is there.
///
/// # Errors
/// When that variable names anything but a Unix socket.
pub fn survey(environment: &BTreeMap<OsString, OsString>) -> Result<Vec<Found>, SandboxError> {
    let chosen = chosen(environment).is_some();
    let sockets = candidates(environment)?.into_iter();
    let there = sockets.filter(|socket| chosen || socket.symlink_metadata().is_ok());
    Ok(there.map(look).collect())
}

/// The engines that answer, the one to use first.
///
/// # Errors
/// As [`survey`].
pub fn engines(environment: &BTreeMap<OsString, OsString>) -> Result<Vec<Engine>, SandboxError> {
    Ok(survey(environment)?
        .into_iter()
        .filter_map(|found| found.engine.ok())
        .collect())
}

fn look(socket: PathBuf) -> Found {
    let reached = std::os::unix::net::UnixStream::connect(&socket);
    let forbidden = reached.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    let engine = Client::connect(&socket)
        .map(|client| client.engine)
        .map_err(|error| error.to_string());
    Found {
        socket,
        engine,
        forbidden,
    }
}

/// The user's own choice of an engine, with the variable's name.
fn chosen(environment: &BTreeMap<OsString, OsString>) -> Option<(&'static str, &OsString)> {
    ["DOCKER_HOST", "CONTAINER_HOST"]
        .into_iter()
        .find_map(|name| Some((name, value(environment, name)?)))
}

fn value<'a>(environment: &'a BTreeMap<OsString, OsString>, name: &str) -> Option<&'a OsString> {
    environment
        .get(OsStr::new(name))
        .filter(|value| !value.is_empty())
}

/// Where engines may listen.
pub(super) fn candidates(environment: &BTreeMap<OsString, OsString>) -> Result<Vec<PathBuf>, SandboxError> {
    if let Some((name, address)) = chosen(environment) {
        return Ok(vec![socket_path(name, address)?]);
    }
    let own = PathBuf::from(format!("/run/user/{}", rustix::process::geteuid().as_raw()));
    let runtime = value(environment, "XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or(own);
    let mut sockets = vec![
        PathBuf::from("/var/run/docker.sock"),
        runtime.join("docker.sock"),
        runtime.join("podman/podman.sock"),
        PathBuf::from("/run/podman/podman.sock"),
    ];
    sockets.extend(value(environment, "HOME").map(|home| Path::new(home).join(".docker/run/docker.sock")));
    Ok(sockets)
}

/// The socket that a path or a `unix://` address names. Folders of this machine are mounted into the container, so an engine on
/// another machine is of no use.
pub(super) fn socket_path(origin: &str, address: &OsStr) -> Result<PathBuf, SandboxError> {
    let text = address.to_string_lossy();
    let path = match text.split_once("://") {
        Some(("unix", path)) => PathBuf::from(path),
        None => PathBuf::from(address),
        Some(_) => PathBuf::new(),
    };
    if path.is_absolute() {
        return Ok(path);
    }
    Err(SandboxError::Refused(format!(
        "{origin} is `{text}`, and only an engine on this machine can be used: name its Unix socket, such as unix:///var/run/docker.sock"
    )))
}

/// A blocking connection to one engine.
pub(super) struct Client {
    pub(super) engine: Engine,
    questions: mpsc::Sender<Question>,
}

type Question = Box<dyn FnOnce(&tokio::runtime::Runtime, &Docker) + Send>;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Said(String),
    #[error("it did not answer within {} seconds", .0.as_secs())]
    Silent(Duration),
    #[error("{0}")]
    Gone(String),
}

impl Client {
    /// Connects to the first engine that answers at one of `sockets`.
    pub(super) fn first(sockets: &[PathBuf]) -> Result<Client, SandboxError> {
        let mut reasons = Vec::new();
        for socket in sockets {
            match Client::connect(socket) {
                Ok(client) => return Ok(client),
                Err(error) => reasons.push(format!("{}: {error}", socket.display())),
            }
        }
        Err(unavailable(
            "reach a container engine",
            &reasons.join("; "),
            "Install Docker or Podman and start it (`sudo systemctl start docker`, or `systemctl --user start podman.socket`); \
             a user who is not in the group `docker` cannot reach Docker's socket",
        ))
    }

    fn connect(socket: &Path) -> Result<Client, EngineError> {
        let gone = |why: String| EngineError::Gone(why);
        // The library would say "not found" to whatever it cannot look at.
        std::os::unix::net::UnixStream::connect(socket).map_err(|error| gone(error.to_string()))?;
        let path = socket
            .to_str()
            .ok_or_else(|| gone("the socket's name is not UTF-8".to_owned()))?;
        let (questions, asked) = mpsc::channel::<Question>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| gone(error.to_string()))?;
        // The library's own limit is only a second one.
        let docker = Docker::connect_with_unix(path, PATIENCE.as_secs() * 2, bollard::API_DEFAULT_VERSION)
            .map_err(|error| gone(error.to_string()))?;
        let docker = runtime.block_on(limited(GREETING, docker.negotiate_version()))?;
        let engine = runtime.block_on(limited(GREETING, introduce(docker.clone(), socket.to_owned())))?;
        std::thread::Builder::new()
            .name("container-engine".to_owned())
            .spawn(move || {
                for question in asked {
                    question(&runtime, &docker);
                }
            })
            .map_err(|error| gone(error.to_string()))?;
        Ok(Client { engine, questions })
    }

    /// Asks the engine something and waits for the answer.
    pub(super) fn ask<T, F>(
        &self,
        question: impl FnOnce(Docker) -> F + Send + 'static,
    ) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ApiError>>,
    {
        let (answer, answered) = mpsc::channel();
        let question: Question = Box::new(move |runtime, docker| {
            let _ = answer.send(runtime.block_on(limited(PATIENCE, question(docker.clone()))));
        });
        let gone = || EngineError::Gone("its connection ended".to_owned());
        self.questions.send(question).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

async fn limited<T>(
    patience: Duration,
    question: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(patience, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(ApiError::DockerResponseServerError {
            status_code: 404,
            message,
        })) => Err(EngineError::NotFound(message)),
        Ok(Err(ApiError::DockerResponseServerError { message, .. })) => Err(EngineError::Said(message)),
        Ok(Err(error)) => Err(EngineError::Gone(with_causes(&error))),
        Err(_) => Err(EngineError::Silent(patience)),
    }
}

/// An HTTP library's errors say little without their causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn introduce(docker: Docker, socket: PathBuf) -> Result<Engine, ApiError> {
    let version = docker.version().await?;
    let info = docker.info().await?;
    let components = version.components.unwrap_or_default();
    let podman = components
        .iter()
        .find(|component| component.name.starts_with("Podman"));
    let says_rootless = info
        .security_options
        .unwrap_or_default()
        .iter()
        .any(|option| option.contains("rootless"));
    // Older Podman says so in a field that Docker's interface does not have; then the socket's owner tells.
    let owned_by_user = std::fs::metadata(&socket).is_ok_and(|socket| socket.uid() != 0);
    let rootless = says_rootless || (podman.is_some() && owned_by_user);
    Ok(Engine {
        socket,
        kind: if podman.is_some() {
            EngineKind::Podman
        } else {
            EngineKind::Docker
        },
        version: podman
            .map(|component| component.version.clone())
            .or(version.version)
            .unwrap_or_default(),
        rootless,
    })
}
