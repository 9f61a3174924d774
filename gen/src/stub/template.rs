//! The bytes of many stubs of one shape.
//!
//! Stubs that take as many arguments differ in their numbers alone. So one of them is encoded, and the others are its
//! bytes with their own numbers in its field. Which field that is is written down nowhere: it is where two stubs differ
//! that were built to differ in the number.

use super::{Code, EncodeError, Encoding, Shape, build};
use crate::model::{Service, ServiceName};

/// Encodes the stubs of a shape, one service after another.
pub(crate) struct StubEncoder {
    shape: Shape,
    encoding: Encoding,
    /// What has been found out about each argument count.
    templates: Vec<(u8, Option<Template>)>,
}

/// A stub whose number can be replaced.
struct Template {
    code: Code,
    /// Where the number stands: four bytes, the lowest first.
    field: usize,
}

impl StubEncoder {
    pub(crate) const fn new(shape: Shape, encoding: Encoding) -> Self {
        Self { shape, encoding, templates: Vec::new() }
    }

    /// The bytes of the service's stub, the same as those of [`Stub::encode`](super::Stub::encode).
    pub(crate) fn encode(&mut self, service: &Service) -> Result<Code, EncodeError> {
        match self.template(service) {
            Some(template) => Ok(template.with_number(service.number())),
            None => build(self.shape, service, self.encoding).encode(),
        }
    }

    fn template(&mut self, service: &Service) -> Option<&Template> {
        let args = service.args(self.shape.arch());
        let at = self.templates.iter().position(|(known, _)| *known == args).unwrap_or_else(|| {
            self.templates.push((args, Template::find(self.shape, service, self.encoding)));
            self.templates.len() - 1
        });
        self.templates[at].1.as_ref()
    }
}

impl Template {
    /// `None` if the stubs of the shape differ in more than the number, or elsewhere than in a field of 32 bits.
    fn find(shape: Shape, service: &Service, encoding: Encoding) -> Option<Self> {
        let name = ServiceName::new(&format!("{}_", service.name()));
        let low = Service { number: 0, ..service.clone() };
        let high = Service { number: u32::MAX, name, ..service.clone() };
        let code = build(shape, &low, encoding).encode().ok()?;
        let other = build(shape, &high, encoding).encode().ok()?;
        if code.relocations != other.relocations {
            return None;
        }
        let field = code.bytes.iter().zip(&other.bytes).position(|(one, other)| one != other)?;
        let template = Self { code, field };
        let has_field = template.code.bytes.get(field..field + 4) == Some(&[0; 4]);
        (has_field && template.with_number(u32::MAX) == other).then_some(template)
    }

    fn with_number(&self, number: u32) -> Code {
        let mut code = self.code.clone();
        code.bytes[self.field..self.field + 4].copy_from_slice(&number.to_le_bytes());
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Arch;
    use crate::read_list;

    /// Every shape in both encodings, numbers of all bytes, several services of one argument count.
    #[test]
    fn a_template_gives_what_the_encoder_gives() {
        let text = "NtA 0\nNtB 4\nNtC 4 @0x123\nNtD 0 @0xffe\nNtE 17\n#! table last base=0x3000\nNtF 4 @0x3abc\n";
        let list = read_list("test.lst", text.as_bytes()).expect("the list is right").list;
        for shape in Arch::ALL.into_iter().flat_map(Shape::of).copied() {
            for encoding in Encoding::ALL {
                let mut encoder = StubEncoder::new(shape, encoding);
                for service in list.services() {
                    let plain = build(shape, service, encoding).encode();
                    assert_eq!(encoder.encode(service), plain, "{shape} {}", service.name());
                }
                // Names of services stand in what the linker fills in, and the numbers of arm64 are no bytes.
                let has_template = encoder.templates.iter().all(|(_, template)| template.is_some());
                assert_eq!(has_template, !matches!(shape, Shape::ZwReactos | Shape::Svc), "{shape}");
            }
        }
    }
}
