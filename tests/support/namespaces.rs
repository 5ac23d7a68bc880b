//! Networks of a test's own: namespaces that are joined by virtual cables, with packet filters. Needs root, `ip` and `iptables-legacy`.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A network namespace, removed at the end.
pub(crate) struct Network {
    name: String,
}

/// This thread is in another network until this is dropped. Sockets stay in the network in which they were made.
pub(crate) struct Inside {
    before: File,
}

impl Network {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Relaxed));
        let network = Self {
            name: format!("feedwatch-{process}-{number}"),
        };
        run("ip", &["netns", "add", &network.name]);
        network.ip("link set lo up");
        network
    }

    /// Joins two networks by a cable that no other has the number of. The address of this end, and of the other one.
    pub(crate) fn join(&self, other: &Self, number: u8) -> (Ipv4Addr, Ipv4Addr) {
        let cable = format!("v{number}");
        let ends = format!(
            "link add {cable} netns {} type veth peer name {cable} netns {}",
            self.name, other.name
        );
        run("ip", &ends.split(' ').collect::<Vec<_>>());
        let addresses = [1, 2].map(|end| Ipv4Addr::new(10, 77, number, end));
        for (network, address) in [(self, addresses[0]), (other, addresses[1])] {
            network.ip(&format!("address add {address}/24 dev {cable}"));
            network.ip(&format!("link set {cable} up"));
        }
        (addresses[0], addresses[1])
    }

    /// `ip` with these arguments, within.
    pub(crate) fn ip(&self, arguments: &str) {
        let within = ["-n", &self.name].into_iter().chain(arguments.split(' '));
        run("ip", &within.collect::<Vec<_>>());
    }

    /// From now on every IPv4 packet that comes or goes is dropped, and nobody is told.
    pub(crate) fn cut_off(&self) {
        for chain in ["INPUT", "OUTPUT"] {
            self.iptables(&["-I", chain, "-j", "DROP"]);
        }
    }

    /// No packet is dropped any more.
    pub(crate) fn restore(&self) {
        self.iptables(&["-F"]);
    }

    fn iptables(&self, arguments: &[&str]) {
        let within = ["netns", "exec", &self.name, "iptables-legacy", "-w"];
        run("ip", &[&within[..], arguments].concat());
    }

    /// Moves this thread.
    pub(crate) fn enter(&self) -> Inside {
        let before = File::open("/proc/thread-self/ns/net").unwrap();
        go_to(&File::open(format!("/run/netns/{}", self.name)).unwrap());
        Inside { before }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // A test that fails has told why already.
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        go_to(&self.before);
    }
}

fn go_to(network: &File) {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("needs root");
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be run, and this test needs it: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
}
