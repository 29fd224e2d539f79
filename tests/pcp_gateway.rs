//! The PCP client against a real gateway, miniupnpd, in network namespaces:
//! the address is told, and no mapping remains.
//!
//! It needs root, iproute2, nftables and miniupnpd; without them it is left out.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use crate::support::{only_test, passed_alone};
use ddns_update_daemon::pcp::client::{Told, external_address};

/// Set in the process that runs inside the client's namespace.
const INSIDE: &str = "DDNS_TEST_INSIDE_PCP";

const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 79, 1);
/// Public, so that miniupnpd takes it for an address; it exists only in here.
const EXTERNAL: Ipv4Addr = Ipv4Addr::new(11, 22, 33, 44);

const RULES: &str = "table inet filter {
 chain miniupnpd { }
 chain prerouting_miniupnpd { }
 chain postrouting_miniupnpd { }
 chain forward { type filter hook forward priority 0; jump miniupnpd; }
 chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
 chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd; }
}
";

const SETTINGS: &str = "ext_ifname=wan0
listening_ip=lan0
http_port=5000
enable_upnp=no
enable_natpmp=yes
secure_mode=yes
uuid=85cdd7ce-d9ad-49f1-86ed-a5741eff8319
min_lifetime=120
max_lifetime=86400
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 192.168.79.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
";

/// Two namespaces and a gateway in one of them; they go when this does.
struct Lab {
    client: String,
    gateway: String,
    folder: PathBuf,
    daemon: Option<Child>,
}

fn run(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let (program, arguments) = words.split_first().unwrap();
    let status = Command::new(program).args(arguments).stderr(Stdio::null()).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl Lab {
    /// `None` where something is missing for it.
    fn start() -> Option<Self> {
        let id = process::id();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("pcp-{id}"));
        fs::create_dir_all(&folder).unwrap();
        let (client, gateway) = (format!("pcp-{id}-c"), format!("pcp-{id}-g"));
        let mut lab = Self { client, gateway, folder, daemon: None };
        let Lab { client, gateway, .. } = &lab;
        let ready = run(&format!("ip netns add {client}"))
            && run(&format!("ip netns add {gateway}"))
            && run(&format!("ip link add lan0 netns {gateway} type veth peer name eth0 netns {client}"))
            && run(&format!("ip link add wan0 netns {gateway} type veth peer name wan1 netns {gateway}"))
            && run(&format!("ip -n {client} addr add 192.168.79.2/24 dev eth0"))
            && run(&format!("ip -n {gateway} addr add {GATEWAY}/24 dev lan0"))
            && run(&format!("ip -n {gateway} addr add {EXTERNAL}/24 dev wan0"))
            && [(client, "eth0"), (gateway, "lan0"), (gateway, "wan0"), (gateway, "wan1"), (gateway, "lo")]
                .iter()
                .all(|(namespace, link)| run(&format!("ip -n {namespace} link set {link} up")))
            && run(&format!("ip -n {gateway} route add 224.0.0.0/4 dev lan0"))
            && run("miniupnpd --version")
            && lab.load_rules();
        if ready {
            lab.daemon = lab.start_gateway();
        }
        (ready && lab.daemon.is_some()).then_some(lab)
    }

    fn load_rules(&self) -> bool {
        let rules = self.folder.join("rules");
        fs::write(&rules, RULES).unwrap();
        run(&format!("ip netns exec {} nft -f {}", self.gateway, rules.display()))
    }

    fn start_gateway(&self) -> Option<Child> {
        let (settings, log) =
            (self.folder.join("settings"), fs::File::create(self.folder.join("log")).unwrap());
        fs::write(&settings, SETTINGS).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.gateway, "miniupnpd", "-d", "-f"]).arg(settings);
        command.arg("-P").arg(self.folder.join("pid"));
        let daemon = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().ok()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if self.log().contains("traffic on port 5351") {
                return Some(daemon);
            }
            thread::sleep(Duration::from_millis(20));
        }
        None
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Every rule of the gateway's packet filter.
    fn rules(&self) -> String {
        let mut command = Command::new("ip");
        let output =
            command.args(["netns", "exec", &self.gateway, "nft", "list", "ruleset"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        for namespace in [&self.client, &self.gateway] {
            run(&format!("ip netns del {namespace}"));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_real_gateway_tells_its_address_and_keeps_no_mapping() {
    if env::var_os(INSIDE).is_some() {
        for _ in 0..3 {
            let deadline = Instant::now() + Duration::from_secs(4);
            let told = external_address(GATEWAY, deadline).unwrap();
            assert_eq!(told, Told { address: EXTERNAL, removed: true });
        }
        return;
    }
    let Some(lab) = Lab::start() else {
        println!("left out: it needs root, iproute2, nftables and miniupnpd");
        return;
    };
    let before = lab.rules();
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &lab.client]).arg(env::current_exe().unwrap()).env(INSIDE, "yes");
    only_test(&mut command, module_path!(), "a_real_gateway_tells_its_address_and_keeps_no_mapping");
    let worked = passed_alone(&mut command);
    let log = lab.log();
    assert!(worked, "{log}");
    assert_eq!(log.matches("added mapping UDP").count(), 3, "{log}");
    assert_eq!(log.matches("mapping removed").count(), 3, "{log}");
    assert_eq!(lab.rules(), before, "a mapping remains");
}
