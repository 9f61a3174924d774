//! Stubs as bytes, for the formats that have no text of them.

// `bin`, which is always there, wants the code alone.
#![cfg_attr(not(any(feature = "json", feature = "object")), allow(dead_code))]

use super::{Error, Options};
use crate::model::{Service, ServiceList};
use crate::stub::{self, Code, Encoding, Shape, StubEncoder};

/// The codes of all services of a list, in one shape and in the order of the list.
pub(super) struct Codes<'a> {
    pub(super) shape: Shape,
    pub(super) encoding: Encoding,
    pub(super) stubs: Vec<Coded<'a>>,
}

/// A stub, encoded.
pub(super) struct Coded<'a> {
    pub(super) service: &'a Service,
    /// Its names as the linker sees them.
    pub(super) symbols: Vec<String>,
    /// Its code, with relocations left open.
    pub(super) code: Code,
}

impl<'a> Codes<'a> {
    pub(super) fn build(list: &'a ServiceList, options: &Options) -> Result<Self, Error> {
        let (shape, encoding) = options.resolve()?;
        let mut encoder = StubEncoder::new(shape, encoding);
        let encode = |service: &'a Service| {
            let code = encoder.encode(service).map_err(|error| Error::encode(service.name().nt(), error))?;
            Ok(Coded { service, symbols: stub::symbols(shape, service), code })
        };
        let stubs = list.services().map(encode).collect::<Result<_, Error>>()?;
        Ok(Self { shape, encoding, stubs })
    }
}
