mod client;

use std::io::{Read, Write};
use std::net::Shutdown;

use proptest::prelude::*;

use super::*;
use crate::debug::{Target, program};
use client::{Client, Served, hex, packet, unhex};

#[test]
fn it_tells_what_it_can_and_what_there_is() {
    let served = Served::usual("srv2003");
    let mut client = served.client();
    let features = client.ask("qSupported:swbreak+;hwbreak+");
    for feature in ["PacketSize=", "ReverseStep+", "ReverseContinue+", "swbreak+", "hwbreak+", "qXfer:features:read+"] {
        assert!(features.contains(feature), "{features}");
    }
    assert_eq!(client.ask("?"), "T05thread:01;");
    let start = client.eip();
    assert_eq!(Some(start), served.symbols.address("program!Start"));
    // EAX to GS, the floating-point unit, and the system's.
    let all = unhex(&client.ask("g"));
    assert_eq!(all[32..36], (start as u32).to_le_bytes());
    assert!(all.len() > 16 * 4 + 8 * 10 + 8 * 4 + 30 * 4, "{}", all.len());
    assert_eq!(client.ask("p1000"), "E16");
    // Where the stubs go: KiFastSystemCall.
    let pointer = unhex(&client.ask("m7ffe0300,4"));
    assert_eq!(u64::from(u32::from_le_bytes(pointer.try_into().unwrap())), served.symbol("ntdll!KiFastSystemCall"));
    assert_eq!(client.ask("m10,4"), "E0e");
    // The end of a page, and what is behind it.
    assert_eq!(client.ask("m7ffe0ffe,10").len(), 4);
    assert_eq!(client.ask("mffffffffffffffff,2000"), "E0e");
    assert_eq!(client.ask("D"), "OK");
    assert_eq!(served.kill(), [Ended::Left]);
}

#[test]
fn the_description_is_of_the_guests_architecture() {
    for (profile, wanted, missing) in [
        ("nt4", ["<architecture>i386<", "name=\"eip\"", "idtr_base"], "xmm0"),
        ("win7", ["<architecture>i386<", "name=\"fs_base\"", "sysenter_eip"], "lstar"),
        ("win7-x64", ["<architecture>i386:x86-64<", "name=\"r15\"", "lstar"], "name=\"eax\""),
    ] {
        let served = Served::usual(profile);
        let mut client = served.client();
        let mut xml = String::new();
        loop {
            let piece = client.ask(&format!("qXfer:features:read:target.xml:{:x},800", xml.len()));
            xml.push_str(&piece[1..]);
            if piece.starts_with('l') {
                break;
            }
        }
        for wanted in wanted {
            assert!(xml.contains(wanted), "{profile}: {wanted} in {xml}");
        }
        assert!(!xml.contains(missing), "{profile}");
        let bits: usize =
            xml.split("bitsize=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse::<usize>().unwrap()).sum();
        assert_eq!(client.ask("g").len(), bits / 4, "{profile}: the description describes the packet");
        assert_eq!(client.ask("qXfer:features:read:other.xml:0,800"), "E02");
        drop(client);
        served.kill();
    }
}

#[test]
fn it_stops_at_breakpoints_and_goes_back() {
    let served = Served::usual("srv2003");
    let (start, entry) = (served.symbol("program!Start"), served.symbol("nt!KiFastCallEntry"));
    let mut client = served.client();
    assert_eq!(client.ask(&format!("Z0,{entry:x},1")), "OK");
    assert_eq!(client.ask("c"), "T05thread:01;swbreak:;");
    assert_eq!(client.eip(), entry);
    assert_eq!(client.register(10) & 3, 0, "CS");
    client.ask("Hc0");
    assert_eq!(client.ask("bs"), "S05");
    assert_eq!(client.eip(), served.symbol("ntdll!KiFastSystemCall") + 2);
    assert_eq!(client.ask("s"), "S05");
    assert_eq!(client.eip(), entry);
    assert_eq!(client.ask("c"), "T05thread:01;swbreak:;");
    assert_eq!(client.ask("bc"), "T05thread:01;swbreak:;");
    assert_eq!(client.eip(), entry);
    assert_eq!(client.ask(&format!("Z1,{start:x},1")), "OK");
    assert_eq!(client.ask("bc"), "T05thread:01;hwbreak:;");
    assert_eq!(client.eip(), start);
    assert_eq!(client.ask("bc"), "T05replaylog:begin;");
    assert_eq!(client.ask("bs"), "T05replaylog:begin;");
    assert_eq!(client.ask(&format!("z0,{entry:x},1")), "OK");
    assert_eq!(client.ask(&format!("z1,{start:x},1")), "OK");
    // Nothing stops it up to the end, which is not the end of the session.
    client.send(&packet(b"vCont;c"));
    let told = client.reply();
    let text = String::from_utf8(unhex(&told[1..])).expect("it is text");
    assert!(told.starts_with('O') && text.contains("the program ended with STATUS_SUCCESS;"), "{text}");
    assert_eq!(client.reply(), "T05replaylog:end;");
    assert_eq!(client.ask("bs"), "S05");
    assert_eq!(client.ask("bc"), "T05replaylog:begin;");
    drop(client);
    served.kill();
}

#[test]
fn it_stops_at_watchpoints() {
    let served = Served::usual("winxp");
    let mut client = served.client();
    let stack = client.register(4);
    let pushed = stack - 4;
    assert_eq!(client.ask(&format!("Z2,{pushed:x},4")), "OK");
    // The call of the first stub pushes where it comes from.
    assert_eq!(client.ask("c"), format!("T05thread:01;watch:{pushed:x};"));
    let behind = client.eip();
    assert_eq!(client.ask("bc"), format!("T05thread:01;watch:{pushed:x};"));
    assert_eq!(client.eip(), served.symbol("program!Start"));
    assert_eq!(client.ask("s"), format!("T05thread:01;watch:{pushed:x};"));
    assert_eq!(client.eip(), behind);
    assert_eq!(client.ask(&format!("z2,{pushed:x},4")), "OK");
    // And its return reads it.
    for (kind, name) in [('3', "rwatch"), ('4', "awatch")] {
        assert_eq!(client.ask(&format!("Z{kind},{pushed:x},4")), "OK");
        assert_eq!(client.ask("c"), format!("T05thread:01;{name}:{pushed:x};"));
        assert_eq!(client.ask("bc"), format!("T05thread:01;{name}:{pushed:x};"));
        assert_eq!(client.ask(&format!("z{kind},{pushed:x},4")), "OK");
    }
    assert_eq!(client.ask("Z2,1000,0"), "E16");
    assert_eq!(client.ask("Z9,1000,1"), "");
    drop(client);
    served.kill();
}

#[test]
fn memory_and_registers_can_be_changed_as_far_as_that_makes_sense() {
    let served = Served::usual("srv2003");
    let mut client = served.client();
    let data = client.register(4) - 0x40;
    assert_eq!(client.ask(&format!("M{data:x},4:01020304")), "OK");
    assert_eq!(client.ask(&format!("m{data:x},4")), "01020304");
    // Binary, with an escaped byte.
    client.send(&packet(&[format!("X{data:x},2:").as_bytes(), &[0x7D, 0x04, 0x41]].concat()));
    assert_eq!(client.reply(), "OK");
    assert_eq!(client.ask(&format!("m{data:x},4")), "24410304");
    assert_eq!(client.ask("M10,1:00"), "E0e");
    assert_eq!(client.ask("P0=78563412"), "OK");
    assert_eq!(client.register(0), 0x1234_5678);
    // CS: not without its descriptor. But what it is already is no change.
    assert_eq!(client.ask("Pa=08000000"), "E01");
    assert_eq!(client.ask("Pa=1b000000"), "OK");
    assert_eq!(client.ask("P0=78"), "E01");
    let mut all = client.ask("g");
    all.replace_range(8..16, "11000000");
    assert_eq!(client.ask(&format!("G{all}")), "OK");
    assert_eq!(client.register(1), 0x11);
    all.replace_range(80..88, "08000000");
    assert_eq!(client.ask(&format!("G{all}")), "E01");
    // From the change on there is no way back.
    assert_eq!(client.ask("bc"), "T05replaylog:begin;");
    drop(client);
    served.kill();
}

#[test]
fn the_symbols_come_over_the_line() {
    let served = Served::usual("srv2003");
    let mut client = served.client();
    let name = client.ask("qXfer:exec-file:read::0,100");
    assert_eq!(name, "m/ntgate.elf");
    assert_eq!(client.ask("qXfer:exec-file:read::b,100"), "l");
    assert_eq!(client.ask("vFile:setfs:0"), "F0");
    let path = hex(b"/ntgate.elf");
    let descriptor = client.ask(&format!("vFile:open:{path},0,0"));
    let descriptor = descriptor.strip_prefix('F').expect("it is there");
    client.send(&packet(format!("vFile:pread:{descriptor},4,0").as_bytes()));
    assert_eq!(client.reply(), "F04;\u{7f}ELF");
    assert_eq!(client.ask(&format!("vFile:close:{descriptor}")), "F0");
    assert_eq!(client.ask(&format!("vFile:open:{},0,0", hex(b"/etc/passwd"))), "F-1,02");
    assert_eq!(client.ask(&format!("vFile:open:{path},1,0")), "F-1,1e");
    assert_eq!(client.ask("vFile:close:7"), "F-1,09");
    drop(client);
    served.kill();
}

#[test]
fn monitor_takes_the_commands_of_the_session() {
    let served = Served::usual("srv2003");
    let mut client = served.client();
    // There is no session of its own to end.
    assert_eq!(client.monitor("q"), "");
    let text = client.monitor("? 1; rdmsr 176");
    let entry = served.symbol("nt!KiFastCallEntry");
    assert!(text.contains(&format!("{entry:08x}")), "{text}");
    drop(client);
    served.kill();
}

#[test]
fn breakpoints_of_gdb_and_of_monitor_stand_side_by_side() {
    let served = Served::usual("srv2003");
    let entry = served.symbol("nt!KiFastCallEntry");
    let mut client = served.client();
    assert_eq!(client.ask(&format!("Z0,{entry:x},1")), "OK");
    client.monitor("bp nt!KiFastCallEntry; bc *");
    assert_eq!(client.ask("c"), "T05thread:01;swbreak:;", "gdb's is still there");
    client.monitor("bp nt!KiFastCallEntry");
    assert_eq!(client.ask(&format!("z0,{entry:x},1")), "OK");
    assert_eq!(client.ask("c"), "S05", "and so is the other");
    assert_eq!(client.eip(), entry);
    // Neither is the next client's.
    assert_eq!(client.ask("D"), "OK");
    let mut client = served.client();
    assert_eq!(client.monitor("bl"), "");
    client.send(&packet(b"c"));
    assert!(client.reply().starts_with('O'));
    assert_eq!(client.reply(), "T05replaylog:end;");
    drop(client);
    served.kill();
}

#[test]
fn a_monitor_command_that_runs_ends_when_nobody_waits_for_it() {
    let served = Served::endless();
    let mut client = served.client();
    client.send(&packet(format!("qRcmd,{}", hex(b"g")).as_bytes()));
    drop(client);
    let ends = served.kill();
    assert!(matches!(ends[..], [Ended::Broken(_)]), "{ends:?}");
}

#[test]
fn control_c_stops_a_target_that_runs() {
    let served = Served::endless();
    let mut client = served.client();
    for command in ["c", "vCont;c"] {
        client.send(&packet(command.as_bytes()));
        client.send(&[3]);
        assert_eq!(client.reply(), "S02");
    }
    let eip = client.eip();
    assert!((0x40_1000..0x40_1010).contains(&eip), "{eip:x}");
    assert_eq!(client.ask("bc"), "T05replaylog:begin;");
    drop(client);
    served.kill();
}

#[test]
fn one_client_follows_another() {
    let served = Served::usual("srv2003");
    let (stub, entry) = (served.symbol("ntdll!NtYieldExecution"), served.symbol("nt!KiFastCallEntry"));
    let mut client = served.client();
    client.ask(&format!("Z0,{entry:x},1"));
    client.ask(&format!("Z2,{:x},4", served.symbol("SharedUserData")));
    client.ask(&format!("Z0,{stub:x},1"));
    assert_eq!(client.ask("c"), "T05thread:01;swbreak:;");
    // Gone without a word.
    drop(client);
    let mut client = served.client();
    assert_eq!(client.eip(), stub, "it is where it was left");
    client.send(&packet(b"c"));
    assert!(client.reply().starts_with('O'), "and the breakpoints are gone");
    assert_eq!(client.reply(), "T05replaylog:end;");
    assert_eq!(client.ask("D;1"), "OK");
    drop(client);
    let ends = served.kill();
    assert!(matches!(ends[..], [Ended::Broken(_), Ended::Left]), "{ends:?}");
}

#[test]
fn k_ends_the_server_too() {
    let served = Served::usual("nt4");
    let mut client = served.client();
    client.send(&packet(b"k"));
    assert_eq!(served.thread.join().expect("it does not panic"), [Ended::Killed]);
}

#[test]
fn what_is_not_the_protocol_ends_the_session_and_nothing_else() {
    let served = Served::endless();
    let cases: [(&str, Vec<u8>); 9] = [
        ("half a packet", b"$m7ffe".to_vec()),
        ("half a checksum", b"$g#6".to_vec()),
        ("a wrong checksum", b"$g#00".to_vec()),
        ("a packet without what belongs to it", packet(b"m7ffe0300")),
        ("another protocol", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a packet without end", [b"$", "m".repeat(0x10_0000).as_bytes()].concat()),
        ("one that would be too large", packet("x".repeat(0x5000).as_bytes())),
        ("a refusal", b"-".to_vec()),
        ("nothing", Vec::new()),
    ];
    for (_, bytes) in &cases {
        let mut client = served.client();
        // The server may hang up before it has everything.
        let _ = client.stream.write_all(bytes);
        let _ = client.stream.shutdown(Shutdown::Write);
        let mut rest = Vec::new();
        let _ = client.stream.read_to_end(&mut rest);
    }
    // And in the midst of a run.
    let mut client = served.client();
    client.send(&packet(b"c"));
    drop(client);
    let ends = served.kill();
    assert_eq!(ends.len(), cases.len() + 1);
    for (end, (what, _)) in ends.iter().zip(&cases) {
        assert!(matches!(end, Ended::Broken(_)), "{what}: {end}");
    }
}

#[test]
fn where_it_cannot_listen_it_says_why() {
    let listen = |address: &str| {
        let target = Target::boot(program::usual(None, None)).expect("it boots");
        Server::listen(target, address).map(|server| server.address()).map_err(|error| error.to_string())
    };
    for address in ["", "1234", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", ":-1", "::1:0", "[::1:0"] {
        let error = listen(address).expect_err("it is no address");
        assert!(error.contains(&format!("`{address}`")) && error.contains("127.0.0.1:1234"), "{error}");
    }
    let first = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let taken = first.local_addr().expect("it has one").to_string();
    let error = listen(&taken).expect_err("it is taken");
    assert!(error.contains(&taken) && error.contains("already"), "{error}");
    assert!(listen(":0").expect("there is a port").ip().is_loopback());
    assert!(listen("localhost:0").expect("there is a port").ip().is_loopback());
}

/// Bodies of packets: what gdb sends, with something wrong in it, or anything at all.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "qSupported:",
        "?",
        "g",
        "G",
        "p",
        "P0=",
        "m",
        "M7ffe0000,",
        "X",
        "Z0,",
        "Z2,",
        "z0,",
        "z4,",
        "s",
        "c",
        "bs",
        "bc",
        "vCont;",
        "vCont?",
        "vCont;r",
        "Hg",
        "Hc",
        "qXfer:features:read:",
        "qXfer:exec-file:read:",
        "vFile:open:",
        "vFile:pread:",
        "vFile:fstat:",
        "qRcmd,",
        "T",
        "D",
        "qC",
        "qfThreadInfo",
        "QStartNoAckMode",
        "vAttach;",
        "vRun;",
        "R",
        "!",
        "i",
        "qHostInfo",
        "jThreadsInfo",
    ]);
    let tail = prop_oneof![
        "[0-9a-f,;:]{0,20}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
        Just(b"ffffffffffffffff,ffffffffffffffff".to_vec()),
        Just(b"0,0".to_vec()),
    ];
    // What has its own meaning within a packet stands for itself nowhere.
    (known, tail).prop_map(|(known, tail)| {
        let mut body = known.as_bytes().to_vec();
        body.extend(tail.into_iter().filter(|byte| !matches!(byte, b'$' | b'#')));
        body
    })
}

#[test]
fn nothing_that_a_client_sends_is_too_much() {
    let served = Served::usual("winxp");
    let address = served.address;
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(packets in prop::collection::vec(bodies(), 1..12), noise in prop::collection::vec(any::<u8>(), 0..20))| {
        let mut client = Client::new(address);
        // An error means that the server has hung up: it may.
        for body in &packets {
            let _ = client.stream.write_all(&packet(body));
        }
        let _ = client.stream.write_all(&noise);
        let _ = client.stream.shutdown(Shutdown::Write);
        let mut rest = Vec::new();
        let _ = client.stream.read_to_end(&mut rest);
    });
    served.kill();
}
