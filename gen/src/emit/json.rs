//! `json`: stubs as data.

use serde::Serialize;

use super::Error;
use super::codes::{Coded, Codes};
use crate::model::{JSON_VERSION, Param, ServiceList, ServiceTable};
use crate::stub::CodeRelocation;

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
    relocations: Vec<Field<'a>>,
}

#[derive(Serialize)]
struct TypedParam<'a> {
    #[serde(rename = "type")]
    ty: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Field<'a> {
    offset: usize,
    symbol: &'a str,
    kind: &'static str,
}

impl<'a> Field<'a> {
    fn of(field: &'a CodeRelocation) -> Self {
        Self { offset: field.offset, symbol: &field.symbol, kind: field.kind.name() }
    }
}

impl<'a> TypedParam<'a> {
    fn of(param: &'a Param) -> Self {
        Self { ty: param.ty(), name: param.name() }
    }
}

pub(super) fn write_json<'a>(list: &'a ServiceList, codes: &'a Codes<'a>) -> Result<Vec<u8>, Error> {
    let tables = list.tables().iter().flat_map(|table: &ServiceTable| table.services().iter().map(|_| table.name()));
    let arch = codes.shape.arch();
    let row = |(table, stub): (_, &'a Coded<'a>)| {
        let Coded { service, symbols, code } = stub;
        ServiceStub {
            name: service.name().nt(),
            table,
            number: service.number(),
            args: service.args(arch),
            doc: service.doc(),
            params: service.signature().map(|params| params.iter().map(TypedParam::of).collect()),
            symbol: symbols.first().map_or("", String::as_str),
            symbols,
            code: code.bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            relocations: code.relocations.iter().map(Field::of).collect(),
        }
    };
    let services = tables.zip(&codes.stubs).map(row).collect();
    let (shape, encoding) = (codes.shape, codes.encoding);
    let document =
        Document { version: JSON_VERSION, arch: arch.name(), shape: shape.name(), encoding: encoding.name(), services };
    let mut json = serde_json::to_vec_pretty(&document).map_err(|error| Error::json(&error))?;
    json.push(b'\n');
    Ok(json)
}
