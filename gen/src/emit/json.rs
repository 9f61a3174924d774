//! `json`: stubs as data.

use serde::Serialize;

use super::{Error, Stubs};
use crate::model::{Param, ServiceList, ServiceTable};

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
    /// The name of its table.
    table: &'a str,
    number: u32,
    args: u8,
    /// What the list says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    doc: Option<&'a str>,
    /// The typed parameters, if the list has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Vec<TypedParam<'a>>>,
    /// The first of `symbols`.
    symbol: &'a str,
    symbols: &'a [String],
    /// Lower-case hexadecimal, two digits a byte.
    code: String,
    relocations: Vec<Field>,
}

#[derive(Serialize)]
struct TypedParam<'a> {
    #[serde(rename = "type")]
    ty: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Field {
    offset: usize,
    symbol: String,
    kind: &'static str,
}

impl<'a> TypedParam<'a> {
    fn of(param: &'a Param) -> Self {
        Self { ty: param.ty(), name: param.name() }
    }
}

pub(super) fn write_json(list: &ServiceList, stubs: &Stubs) -> Result<Vec<u8>, Error> {
    let mut services = Vec::with_capacity(stubs.stubs.len());
    let rows =
        list.tables().iter().flat_map(|table: &ServiceTable| table.services().iter().map(|row| (table.name(), row)));
    for ((table, service), stub) in rows.zip(&stubs.stubs) {
        let code = stub.encode().map_err(|error| Error::encode(&stub.service, error))?;
        let fields = code.relocations.into_iter();
        services.push(ServiceStub {
            name: &stub.service,
            table,
            number: stub.number,
            args: stub.args,
            doc: service.doc(),
            params: service.signature().map(|params| params.iter().map(TypedParam::of).collect()),
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
