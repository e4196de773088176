//! Attacks over sockets: to the machine's listeners, and to its Unix sockets by path and by name.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::Duration;

use cwm_tools::sandbox::policy::Network;

use super::harness::{ATTACK, Inside, assert_all_denied, both};

/// Addresses by which this machine could be reached: loopback, and whatever its interfaces have.
fn own_addresses() -> Vec<IpAddr> {
    let mut addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST), "127.0.0.2".parse().unwrap()];
    // Connecting a datagram socket sends nothing, and tells which address would be used.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    if socket.connect("192.0.2.1:9").is_ok() {
        addresses.push(socket.local_addr().unwrap().ip());
    }
    addresses
}

fn nobody_called(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    let called = listener.accept();
    assert_eq!(
        called.map_err(|error| error.kind()).unwrap_err(),
        ErrorKind::WouldBlock
    );
}

#[test]
fn listeners_of_the_machine_cannot_be_reached() {
    both(|world| {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for address in own_addresses() {
            // It can be reached from outside, so that it is the sandbox that stops the same attack.
            let control = world.attack_outside(&["tcp", &address.to_string(), &port.to_string()]);
            assert_eq!(control.get("tcp").map(String::as_str), Some("OK"), "{address}");
            listener.accept().unwrap();
        }
        for network in [Network::Loopback, Network::None] {
            let mut policy = world.policy();
            policy.network = network;
            let mut inside = Inside::start(policy);
            for address in own_addresses() {
                let answers = inside.attack(&format!("tcp {address} {port}"));
                assert_all_denied(&answers, 1);
                let said = inside.sh(&format!(
                    "(exec 3<>/dev/tcp/{address}/{port}) 2>/dev/null && echo bash
                     python3 -c 'import socket; socket.create_connection((\"{address}\", {port}), 2)' 2>/dev/null && echo python
                     if command -v curl >/dev/null; then curl -s -m 2 http://{address}:{port}/ && echo curl; fi
                     true"
                ));
                assert_eq!(said, "", "{address}");
            }
            // Beyond the machine there is nothing either, nor names.
            let said = inside.sh(
                "(exec 3<>/dev/tcp/192.0.2.1/80) 2>&1 | grep -q unreachable && echo 1
                 python3 -c 'import socket; socket.getaddrinfo(\"example.org\", 80)' 2>/dev/null && echo resolved
                 grep -vE 'lo:|Inter|face' /proc/net/dev; true",
            );
            assert_eq!(said.trim(), "1");
        }
        nobody_called(&listener);
    });
}

#[test]
fn datagrams_do_not_reach_the_machine() {
    both(|world| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        let mut room = [0; 64];
        for address in own_addresses() {
            world.attack_outside(&["udp", &address.to_string(), &port, "outside"]);
            let (count, _) = socket.recv_from(&mut room).unwrap();
            assert_eq!(&room[..count], b"outside");
        }
        let mut inside = world.inside();
        for address in own_addresses() {
            // A send to one's own loopback succeeds and reaches nobody.
            inside.sh(&format!("{ATTACK} udp {address} {port} inside"));
        }
        assert!(
            socket.recv_from(&mut room).is_err(),
            "a datagram came out of the sandbox"
        );
    });
}

#[test]
fn unix_sockets_of_the_machine_cannot_be_reached() {
    both(|world| {
        let name = format!("cwm-abstract-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixListener::bind_addr(&address).unwrap();
        let path = world.path("agent.sock");
        let by_path = UnixListener::bind(&path).unwrap();
        for (kind, to) in [("abstract", name.clone()), ("unix", path.display().to_string())] {
            let control = world.attack_outside(&[kind, &to]);
            assert_eq!(control.get(kind).map(String::as_str), Some("OK"), "{to}");
        }
        by_name.accept().unwrap();
        by_path.accept().unwrap();
        by_name.set_nonblocking(true).unwrap();
        by_path.set_nonblocking(true).unwrap();

        for network in [Network::Loopback, Network::None, Network::Host] {
            let mut policy = world.policy();
            policy.network = network;
            let mut inside = Inside::start(policy);
            assert_eq!(inside.session.sandbox().weaker(), Vec::<String>::new().as_slice());
            assert_all_denied(&inside.attack(&format!("abstract {name}")), 1);
            assert_all_denied(&inside.attack(&format!("unix {}", path.display())), 1);
            for socket in [
                "/run/docker.sock",
                "/var/run/docker.sock",
                "/run/dbus/system_bus_socket",
                "/run/systemd/private",
                "/run/containerd/containerd.sock",
                "/run/podman/podman.sock",
            ] {
                assert_all_denied(&inside.attack(&format!("unix {socket}")), 1);
            }
            let found =
                inside.sh("find / -xdev -type s 2>/dev/null; find /run /var /tmp -type s 2>/dev/null; true");
            assert_eq!(found, "", "sockets are seen");
            assert_eq!(
                by_name.accept().map_err(|error| error.kind()).unwrap_err(),
                ErrorKind::WouldBlock
            );
            assert_eq!(
                by_path.accept().map_err(|error| error.kind()).unwrap_err(),
                ErrorKind::WouldBlock
            );
        }
    });
}

#[test]
fn the_machines_network_is_there_when_asked_for() {
    both(|world| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut policy = world.policy();
        policy.network = Network::Host;
        let mut inside = Inside::start(policy);
        inside.ok(&format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port} && echo called >&3 && exec 3>&-"
        ));
        let mut said = String::new();
        listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
        assert_eq!(said, "called\n");
        // Its interfaces are not the sandbox's to change.
        let changed = inside.sh(
            "command -v ip >/dev/null && { ip link set lo down 2>/dev/null && echo down; ip addr add 192.0.2.5/32 dev lo 2>/dev/null && echo added; }
             true",
        );
        assert_eq!(changed, "");
    });
}

#[test]
fn each_sandbox_has_a_loopback_of_its_own() {
    both(|world| {
        let mut first = world.inside();
        let mut second = Inside::start({
            let mut policy = world.policy();
            policy.mounts.remove(0);
            policy.working_directory = "/tmp".into();
            policy
        });
        first.ok("python3 -c 'import socket, time
s = socket.create_server((\"127.0.0.1\", 7777)); time.sleep(20)' >/dev/null 2>&1 &
             for i in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/7777) 2>/dev/null && break; sleep 0.02; done
             exec 3<>/dev/tcp/127.0.0.1/7777");
        assert_all_denied(&second.attack("tcp 127.0.0.1 7777"), 1);
        assert_eq!(
            world
                .attack_outside(&["tcp", "127.0.0.1", "7777"])
                .get("tcp")
                .map(String::as_str),
            Some("ECONNREFUSED")
        );
    });
}
