//! `json`: stubs as data.

use serde::Serialize;

use super::{Error, Stubs};

/// Goes up when a key that is here changes its meaning or goes away.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    arch: &'static str,
    shape: &'static str,
    encoding: &'static str,
    services: Vec<ServiceStub<'a>>,
}

#[derive(Serialize)]
struct ServiceStub<'a> {
    name: &'a str,
    number: u32,
    args: u8,
    /// The first of `symbols`.
    symbol: &'a str,
    symbols: &'a [String],
    /// Lower-case hexadecimal, two digits a byte.
    code: String,
    relocations: Vec<Field>,
}

#[derive(Serialize)]
struct Field {
    offset: usize,
    symbol: String,
    kind: &'static str,
}

pub(super) fn write_json(stubs: &Stubs) -> Result<Vec<u8>, Error> {
    let mut services = Vec::with_capacity(stubs.stubs.len());
    for stub in &stubs.stubs {
        let code = stub.encode().map_err(|error| Error::encode(&stub.service, error))?;
        let fields = code.relocations.into_iter();
        services.push(ServiceStub {
            name: &stub.service,
            number: stub.number,
            args: stub.args,
            symbol: stub.symbols.first().map_or("", String::as_str),
            symbols: &stub.symbols,
            code: code.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            relocations: fields
                .map(|field| Field { offset: field.offset, symbol: field.symbol, kind: field.kind.name() })
                .collect(),
        });
    }
    let (shape, encoding) = (stubs.shape, stubs.encoding);
    let document = Document {
        version: VERSION,
        arch: shape.arch().name(),
        shape: shape.name(),
        encoding: encoding.name(),
        services,
    };
    let mut json = serde_json::to_vec_pretty(&document).map_err(|error| Error::json(&error))?;
    json.push(b'\n');
    Ok(json)
}
