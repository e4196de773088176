//! The back end that has a container engine, Docker or Podman, make the sandbox from a prepared image.
//!
//! What enters is a policy and an image that is there already; what leaves is a [`Sandbox`] like any other, for the same supervisor runs
//! inside: this program's own binary, mounted read-only together with its loader and libraries (`carried`), started as the container's
//! first process, and connected to the host by one socket that is gone before any program of the image runs (`control`).
//!
//! Of the policy, `readable` and `toolchains` mean nothing here: the image is the system. `Network::None` is as `Loopback`, for
//! engines leave the loopback interface on. `limits.disk` is not enforced: engines bound a container's layer on few file systems only.
//! `limits.memory` includes the folders in memory. A rootless engine without control groups of the second version has no limits of the
//! kernel's; then the supervisor counts memory and processes, and files in memory have their own bound only. Where SELinux rules, the container runs without its label, or it could not reach
//! what is mounted.
//!
//! Containers carry marks of the process that made them (`owner`). They end by themselves when that process does; what an engine's
//! failure leaves is removed at the next start.

mod carried;
mod control;
mod engine;
pub(super) mod inside;
mod owner;
mod spec;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::query_parameters::{
    ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
};

use self::carried::Carried;
use self::control::Control;
use self::engine::{Client, EngineError};
pub use self::engine::{Engine, EngineKind, Found, engines, survey};
use self::owner::Owner;
use super::handle::Holder;
use super::policy::Policy;
use super::protocol::Isolation;
use super::{Sandbox, SandboxError};

/// How long a container may take until its helper answers.
const START: Duration = Duration::from_secs(60);
/// How long a container that is being removed may take to be gone.
const REMOVAL: Duration = Duration::from_secs(15);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(50);

/// Which container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerOptions {
    /// The image's name or number. It has to be there: nothing is pulled.
    pub image: String,
    /// The engine's Unix socket, as a path or a `unix://` address; found by itself when `None`.
    pub engine: Option<OsString>,
    /// The folder inside the image that holds the repository, when the image brings its own. It becomes the working directory.
    pub repository: Option<PathBuf>,
}

/// What a clean-up removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CleanedUp {
    /// Containers of processes that are gone.
    pub containers: usize,
    /// Their folders on this machine.
    pub folders: usize,
}

impl Sandbox {
    /// Starts a sandbox in a container. `program` is the `cwm` binary, or another that calls
    /// [`helper::dispatch`](super::helper::dispatch) first; `environment` is the user's, where the engine's address may stand.
    ///
    /// # Errors
    /// When no engine answers, the image is not there or lacks bash, or the policy asks for what an engine cannot do. Nothing weaker is tried.
    pub fn start_in_container(
        program: &Path,
        policy: Policy,
        options: &ContainerOptions,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Result<Sandbox, SandboxError> {
        let client = client(options.engine.as_ref(), environment)?;
        remove_left_over(&client);
        let image = inspect_image(&client, &options.image)?;
        let policy = spec::fit(
            policy,
            &image.environment,
            environment,
            options.repository.as_deref(),
        )?;
        let carried = Carried::of(program).map_err(|error| SandboxError::Helper {
            program: program.to_owned(),
            error,
        })?;
        let owner = Owner::this();
        let control = Control::new(&owner).map_err(|error| {
            let advice = "Check the temporary folder (`TMPDIR`): it needs a short name, room, and to be visible to the engine";
            unavailable("make the control socket", &error.to_string(), advice)
        })?;
        let body = spec::body(spec::Parts {
            engine: &client.engine,
            image: &options.image,
            image_has_health_check: image.has_health_check,
            policy: &policy,
            carried: &carried,
            control: &control,
            labels: owner.labels(),
        })?;
        let mut container = Container::create(client, control, body)?;
        let socket = container.start()?;
        Sandbox::begin_with(socket, Box::new(container), policy, Isolation::Container)
            .map_err(|error| explain(error, options))
    }
}

/// Removes what killed processes of this program left: containers, and folders in the temporary folder.
///
/// # Errors
/// When no engine answers.
pub fn clean_up(
    engine: Option<&OsString>,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<CleanedUp, SandboxError> {
    Ok(remove_left_over(&client(engine, environment)?))
}

fn client(
    engine: Option<&OsString>,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<Client, SandboxError> {
    let sockets = match engine {
        Some(address) => vec![engine::socket_path("the engine's address", address)?],
        None => engine::candidates(environment)?,
    };
    Client::first(&sockets)
}

/// What of an image matters here.
struct Image {
    environment: Vec<String>,
    has_health_check: bool,
}

fn inspect_image(client: &Client, name: &str) -> Result<Image, SandboxError> {
    let asked = name.to_owned();
    let found = client.ask(move |docker| async move { docker.inspect_image(&asked).await });
    let config = found
        .map_err(|error| match error {
            EngineError::NotFound(_) => unavailable(
                &format!("find the image `{name}`"),
                &format!(
                    "the engine at {} does not have it",
                    client.engine.socket.display()
                ),
                &format!(
                    "Images are never fetched by themselves: run `{} pull {name}`, or build it",
                    client.engine.kind.command()
                ),
            ),
            error => engine_failed("look at the image", client, &error),
        })?
        .config
        .unwrap_or_default();
    Ok(Image {
        environment: config.env.unwrap_or_default(),
        has_health_check: config.healthcheck.is_some(),
    })
}

/// One container, and what it needs on this machine. Dropping it removes both.
struct Container {
    client: Client,
    id: String,
    control: Control,
    ended: bool,
}

impl Container {
    fn create(
        client: Client,
        control: Control,
        body: bollard::models::ContainerCreateBody,
    ) -> Result<Container, SandboxError> {
        let created = client
            .ask(move |docker| async move { docker.create_container(None, body).await })
            .map_err(|error| engine_failed("create the container", &client, &error))?;
        Ok(Container {
            client,
            id: created.id,
            control,
            ended: false,
        })
    }

    /// Starts it and waits for its helper's connection.
    fn start(&mut self) -> Result<std::os::unix::net::UnixStream, SandboxError> {
        let id = self.id.clone();
        self.client
            .ask(
                move |docker| async move { docker.start_container(&id, None::<StartContainerOptions>).await },
            )
            .map_err(|error| engine_failed("start the container", &self.client, &error))?;
        let (client, id) = (&self.client, &self.id);
        self.control
            .accept(START, || how_ended(client, id))
            .map_err(|error| {
                let advice = "The image must be for this machine's processor; the engine's log may say more";
                unavailable("start the helper in the container", &error.to_string(), advice)
            })
    }
}

impl Holder for Container {
    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        remove(&self.client, &self.id);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.end();
    }
}

/// Says how a container ended; `None` while it runs.
fn how_ended(client: &Client, id: &str) -> Option<String> {
    let id = id.to_owned();
    match client.ask(move |docker| async move { docker.inspect_container(&id, None).await }) {
        Ok(container) => {
            let state = container.state.filter(|state| state.running == Some(false))?;
            let code = state
                .exit_code
                .map_or(String::new(), |code| format!("exit status {code}"));
            let error = state.error.filter(|error| !error.is_empty());
            Some(error.map_or(code.clone(), |error| format!("{code}, {error}")))
        }
        Err(EngineError::NotFound(_)) => Some("and is removed already".to_owned()),
        // An engine that is slow to answer says nothing of the container.
        Err(_) => None,
    }
}

/// Kills and removes a container, and waits until it is gone. Tells whether it is.
fn remove(client: &Client, id: &str) -> bool {
    let end = Instant::now() + REMOVAL;
    loop {
        let container = id.to_owned();
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let removed =
            client.ask(move |docker| async move { docker.remove_container(&container, Some(options)).await });
        match removed {
            Ok(()) | Err(EngineError::NotFound(_)) => return true,
            Err(EngineError::Gone(_)) => return false,
            // It is being removed already, for its first process ended: look again.
            Err(EngineError::Said(_) | EngineError::Silent(_)) if Instant::now() < end => {
                std::thread::sleep(LOOK)
            }
            Err(_) => return false,
        }
    }
}

fn remove_left_over(client: &Client) -> CleanedUp {
    let filters: HashMap<String, Vec<String>> = [("label".to_owned(), vec!["cwm.pid".to_owned()])].into();
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let listed = client
        .ask(move |docker| async move { docker.list_containers(Some(options)).await })
        .unwrap_or_default();
    let gone = listed.into_iter().filter(|container| {
        let labels = container.labels.as_ref();
        labels
            .and_then(Owner::of_labels)
            .is_some_and(|owner| owner.is_gone())
    });
    CleanedUp {
        containers: gone
            .filter_map(|container| container.id)
            .filter(|id| remove(client, id))
            .count(),
        folders: control::remove_left_over(&std::env::temp_dir()),
    }
}

/// Says of the image what the supervisor inside says of its files.
fn explain(error: SandboxError, options: &ContainerOptions) -> SandboxError {
    let SandboxError::Unavailable {
        stage,
        message,
        advice,
    } = error
    else {
        return error;
    };
    let advice = if stage == inside::FIND_BASH {
        format!(
            "The image `{}` needs bash: install it in the image",
            options.image
        )
    } else if stage.starts_with("enter ") {
        format!(
            "The image `{}` needs that folder; check where it holds the repository",
            options.image
        )
    } else {
        advice
    };
    SandboxError::Unavailable {
        stage,
        message,
        advice,
    }
}

fn engine_failed(stage: &str, client: &Client, error: &EngineError) -> SandboxError {
    let advice = format!(
        "This is the word of the engine at {}; `{} info` shows its settings",
        client.engine.socket.display(),
        client.engine.kind.command()
    );
    unavailable(stage, &error.to_string(), &advice)
}

fn unavailable(stage: &str, message: &str, advice: &str) -> SandboxError {
    SandboxError::Unavailable {
        stage: stage.to_owned(),
        message: message.to_owned(),
        advice: advice.to_owned(),
    }
}
