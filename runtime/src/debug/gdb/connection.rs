//! The line to gdb.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use gdbstub::conn::{Connection, ConnectionExt};

/// Bytes that are read at once.
const CHUNK: usize = 4096;

/// How long an answer may wait for somebody who asks and does not read.
const PATIENCE: Duration = Duration::from_secs(30);

/// A byte stream that collects what is written until somebody waits for an answer.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    /// What has come and is not read yet. Looked at while the line is lent out.
    incoming: RefCell<VecDeque<u8>>,
    outgoing: Vec<u8>,
}

impl Line {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, incoming: RefCell::default(), outgoing: Vec::new() })
    }

    /// Takes what has come; waits for something if `wait`. False: there is nothing.
    fn fill(&self, wait: bool) -> io::Result<bool> {
        self.stream.set_nonblocking(!wait)?;
        let mut chunk = [0; CHUNK];
        loop {
            match (&self.stream).read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(size) => {
                    self.incoming.borrow_mut().extend(chunk.iter().take(size));
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether a read would not wait: there is something, or the other side has gone.
    pub(super) fn is_ready(&self) -> bool {
        !self.incoming.borrow().is_empty() || self.fill(false).unwrap_or(true)
    }

    /// A message for gdb's console, while it waits for the target to stop (GDB manual, E.3, `O`).
    pub(super) fn tell(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let body: String =
            std::iter::once("O".to_owned()).chain(text.iter().map(|byte| format!("{byte:02x}"))).collect();
        let sum = body.bytes().fold(0u8, u8::wrapping_add);
        self.outgoing.extend(format!("${body}#{sum:02x}").bytes());
    }
}

impl Connection for Line {
    type Error = io::Error;

    fn write(&mut self, byte: u8) -> io::Result<()> {
        self.outgoing.push(byte);
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.outgoing.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(false)?;
        io::Write::write_all(&mut self.stream, &self.outgoing)?;
        self.outgoing.clear();
        Ok(())
    }
}

impl ConnectionExt for Line {
    fn read(&mut self) -> io::Result<u8> {
        self.flush()?;
        loop {
            if let Some(byte) = self.incoming.borrow_mut().pop_front() {
                return Ok(byte);
            }
            self.fill(true)?;
        }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        self.flush()?;
        if self.incoming.borrow().is_empty() {
            self.fill(false)?;
        }
        Ok(self.incoming.borrow().front().copied())
    }
}
