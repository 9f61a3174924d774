//! Clients, one after the other.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};

use gdbstub::stub::{DisconnectReason, GdbStub};

use super::connection::Line;
use super::session::{Loop, Session};
use super::symbol_file;
use crate::debug::{Kd, Target};

/// What is taken for a host that is not named.
const LOOPBACK: &str = "127.0.0.1";

/// Bytes of the longest packet.
const PACKET: usize = 0x4000;

/// The answer to `vKill`.
const KILLED: &[u8] = b"$OK#9a";

/// Why a server cannot listen.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// The text is no address.
    Address {
        /// The text.
        text: String,
    },
    /// The host's name leads nowhere.
    Host {
        /// The text.
        text: String,
        /// Why.
        error: io::Error,
    },
    /// Nobody can listen there.
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { text } => {
                write!(f, "`{text}` is no address to listen on; give HOST:PORT or :PORT, such as {LOOPBACK}:1234")
            }
            Self::Host { text, error } => write!(f, "there is no host for `{text}`: {error}"),
            Self::Bind { address, error } if error.kind() == ErrorKind::AddrInUse => {
                write!(f, "somebody listens on {address} already; take another port, or port 0 for one that is free")
            }
            Self::Bind { address, error } => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl Error for ListenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Address { .. } => None,
            Self::Host { error, .. } | Self::Bind { error, .. } => Some(error),
        }
    }
}

/// How a client's session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// gdb left (`detach`, `quit`).
    Left,
    /// gdb asked for the end (`kill`).
    Killed,
    /// The line broke, or what came over it was not gdb's protocol.
    Broken(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("gdb has left"),
            Self::Killed => f.write_str("gdb has asked for the end"),
            Self::Broken(why) => write!(f, "the session broke off: {why}"),
        }
    }
}

/// A server for gdb: see the [module's page](super).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    kd: Kd,
    symbols: Vec<u8>,
}

impl Server {
    /// Listens at `HOST:PORT`, or `:PORT` for this computer alone. Port 0 is one that is free.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen(target: Target, address: &str) -> Result<Self, ListenError> {
        let wanted = resolve(address)?;
        let bound = TcpListener::bind(wanted).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(|error| ListenError::Bind { address: wanted, error })?;
        let symbols = symbol_file(target.symbols(), target.machine().long_mode().0);
        Ok(Self { listener, address, kd: Kd::new(target), symbols })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether only this computer can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// The target, as the last client left it.
    #[must_use]
    pub fn target(&self) -> &Target {
        self.kd.target()
    }

    /// The names of the system, as gdb reads them.
    #[must_use]
    pub fn symbols(&self) -> &[u8] {
        &self.symbols
    }

    /// Waits for a client and serves it. The target stays as it is for the next one, but without the breakpoints of this one.
    ///
    /// # Errors
    /// When no client can come any more. What goes wrong with one is the end of its session.
    pub fn serve(&mut self) -> io::Result<Ended> {
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                // It has gone before its turn.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        };
        Ok(self.session(stream).unwrap_or_else(|error| Ended::Broken(error.to_string())))
    }

    fn session(&mut self, stream: TcpStream) -> io::Result<Ended> {
        let mut session = Session::new(&mut self.kd, stream.try_clone()?, &self.symbols);
        let mut packet = vec![0; PACKET];
        let stub = GdbStub::builder(Line::new(stream.try_clone()?)?).with_packet_buffer(&mut packet).build();
        let result = stub.map_err(io::Error::other)?.run_blocking::<Loop<'_>>(&mut session);
        session.end();
        if matches!(result, Ok(DisconnectReason::Kill)) {
            // Whoever asked by `k` has gone and hears nothing.
            let _ = (&stream).write_all(KILLED);
        }
        Ok(match result {
            Ok(DisconnectReason::Kill) => Ended::Killed,
            Ok(_) => Ended::Left,
            Err(error) if error.is_connection_error() => Ended::Broken("gdb has gone without a word".to_owned()),
            Err(error) => Ended::Broken(format!("what came is not gdb's protocol ({error})")),
        })
    }
}

/// The address that a text names.
fn resolve(text: &str) -> Result<SocketAddr, ListenError> {
    let no_address = || ListenError::Address { text: text.to_owned() };
    let (host, port) = text.rsplit_once(':').ok_or_else(no_address)?;
    let port: u16 = port.parse().map_err(|_| no_address())?;
    let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(Some(host)) => host,
        Some(None) => return Err(no_address()),
        None if host.is_empty() => LOOPBACK,
        None if host.contains(':') => return Err(no_address()),
        None => host,
    };
    let found = (host, port).to_socket_addrs().and_then(|mut all| all.next().ok_or(ErrorKind::NotFound.into()));
    found.map_err(|error| ListenError::Host { text: text.to_owned(), error })
}
