//! A server in a thread, and a client that speaks the protocol by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use iced_x86::code_asm::{CodeAssembler, ecx};

use super::super::{Ended, Server};
use crate::debug::{Symbols, Target, program};
use crate::host;

/// Far longer than any answer takes; so that a test fails rather than hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A server in a thread, which ends when a client kills it, and then tells how each session ended.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) symbols: Symbols,
    pub(super) thread: JoinHandle<Vec<Ended>>,
}

impl Served {
    pub(super) fn new(builder: impl FnOnce() -> host::Builder<'static> + Send + 'static) -> Self {
        let (send, receive) = mpsc::channel();
        let thread = thread::spawn(move || {
            let target = Target::boot(builder()).expect("it boots");
            let mut server = Server::listen(target, "127.0.0.1:0").expect("there is a port");
            assert!(server.is_local());
            send.send((server.address(), server.target().symbols().clone())).expect("somebody waits");
            let mut ends = Vec::new();
            while ends.last() != Some(&Ended::Killed) {
                ends.push(server.serve().expect("clients can come"));
            }
            ends
        });
        let (address, symbols) = receive.recv_timeout(PATIENCE).expect("it boots");
        Self { address, symbols, thread }
    }

    /// The usual program on a system.
    pub(super) fn usual(profile: &'static str) -> Self {
        Self::new(move || program::usual(Some(profile), None))
    }

    /// A program that never ends.
    pub(super) fn endless() -> Self {
        Self::new(|| {
            host::Machine::builder().profile("winxp").program(|places| {
                let mut a = CodeAssembler::new(places.bits())?;
                let mut round = a.create_label();
                a.set_label(&mut round)?;
                a.inc(ecx)?;
                a.jmp(round)?;
                Ok(a.assemble(places.start())?)
            })
        })
    }

    pub(super) fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub(super) fn symbol(&self, name: &str) -> u64 {
        self.symbols.address(name).expect("there is such a symbol")
    }

    /// Ends it; how the sessions before ended.
    pub(super) fn kill(self) -> Vec<Ended> {
        let mut client = self.client();
        assert_eq!(client.ask("vKill;1"), "OK");
        let mut ends = self.thread.join().expect("it does not panic");
        assert_eq!(ends.pop(), Some(Ended::Killed));
        ends
    }
}

/// A client that speaks the protocol by hand.
pub(super) struct Client {
    pub(super) stream: TcpStream,
}

/// A packet with its checksum.
pub(super) fn packet(body: &[u8]) -> Vec<u8> {
    let sum = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    [b"$", body, format!("#{sum:02x}").as_bytes()].concat()
}

/// Hexadecimal digits of bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// And back.
pub(super) fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(|at| pair(at).expect("digits in pairs")).collect()
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it can wait");
        Self { stream }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it is connected");
    }

    pub(super) fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).expect("an answer comes");
        byte[0]
    }

    /// The next packet that comes, with its run lengths undone.
    pub(super) fn reply(&mut self) -> String {
        while self.byte() != b'$' {}
        let mut body = Vec::new();
        let mut raw = 0u8;
        loop {
            match self.byte() {
                b'#' => break,
                byte => {
                    raw = raw.wrapping_add(byte);
                    body.push(byte);
                }
            }
        }
        let sum = [self.byte(), self.byte()];
        assert_eq!(sum.as_slice(), format!("{raw:02x}").as_bytes());
        self.send(b"+");
        let mut text = Vec::new();
        let mut bytes = body.into_iter();
        while let Some(byte) = bytes.next() {
            if byte == b'*' {
                let count = usize::from(bytes.next().expect("a count") - 29);
                let last = *text.last().expect("something to repeat");
                text.extend(std::iter::repeat_n(last, count));
            } else {
                text.push(byte);
            }
        }
        String::from_utf8(text).expect("it is text")
    }

    pub(super) fn ask(&mut self, body: &str) -> String {
        self.send(&packet(body.as_bytes()));
        self.reply()
    }

    /// What a monitor command prints.
    pub(super) fn monitor(&mut self, command: &str) -> String {
        self.send(&packet(format!("qRcmd,{}", hex(command.as_bytes())).as_bytes()));
        let mut text = Vec::new();
        loop {
            match self.reply() {
                end if end == "OK" => return String::from_utf8(text).expect("it is text"),
                piece => text.extend(unhex(piece.strip_prefix('O').expect("a piece of what is printed"))),
            }
        }
    }

    /// A register of 32 bits, by its number.
    pub(super) fn register(&mut self, number: usize) -> u64 {
        let mut bytes = unhex(&self.ask(&format!("p{number:x}")));
        bytes.resize(8, 0);
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }

    pub(super) fn eip(&mut self) -> u64 {
        self.register(8)
    }
}
