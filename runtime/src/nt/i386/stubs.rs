//! The stubs under test, each encoded where it will stand.

use ntgate_gen::stub::{Code, EncodeError, RelocationKind, Stub};

use super::assembly::Routine;
use super::data::kernel;
use super::image::Builder;
use super::layout::{PAGE, kpcr};
use super::memory::{Access, Region};
use super::symbols::undecorated;
use super::{BuildError, Ring, SetLayout, StubSet, Symbol, record, sets};

/// What fills the gaps between stubs: `int 3`.
pub(crate) const GAP: u8 = 0xCC;

/// Stubs of sets that do not stand in ntdll begin at multiples of this.
const STUB_ALIGN: usize = 0x10;

/// Where a set's stubs go.
struct Place {
    /// Address of the first.
    base: u32,
    /// Distance from one to the next.
    stride: usize,
    /// In ntdll itself, at the address the profile names.
    in_ntdll: bool,
}

impl Builder<'_> {
    /// Encodes a set's stubs where they will stand, the one past the end last.
    pub(super) fn stubs(&mut self, index: usize, set: &StubSet) -> Result<(), BuildError> {
        let stubs: Vec<&Stub> = set.stubs.iter().chain(&set.past_end).collect();
        let mut codes = Vec::with_capacity(stubs.len());
        for (number, stub) in stubs.iter().enumerate() {
            let code = stub.encode().map_err(|error| stub_error(index, number, error))?;
            codes.push(code);
        }
        let longest = codes.iter().map(|code| code.bytes.len()).max().unwrap_or(0).max(1);
        let place = self.place(set, stubs.len(), longest)?;
        let module = self.module(index, set, place.in_ntdll);
        let mut bytes = vec![GAP; place.stride * stubs.len()];
        let mut addresses = Vec::with_capacity(stubs.len());
        let slots = bytes.chunks_exact_mut(place.stride);
        for (number, ((stub, code), slot)) in stubs.iter().zip(&mut codes).zip(slots).enumerate() {
            let address = place.base + (number * place.stride) as u32;
            self.relocate(code, address).map_err(|error| stub_error(index, number, error))?;
            for (to, from) in slot.iter_mut().zip(&code.bytes) {
                *to = *from;
            }
            self.symbols.extend(
                stub.symbols.iter().map(|symbol| Symbol { name: format!("{module}!{}", undecorated(symbol)), address }),
            );
            addresses.push(address);
        }
        self.store_stubs(&place, bytes, set.ring);
        let past_end_address = set.past_end.as_ref().and_then(|_| addresses.pop());
        let layout = self.set_layout(set, addresses, past_end_address);
        self.sets.push(layout);
        Ok(())
    }

    /// The module name of a set's symbols.
    fn module(&self, index: usize, set: &StubSet, in_ntdll: bool) -> String {
        let first_in_kernel = self.next_kernel_stub == self.kernel.profile.kernel_stubs;
        match set.ring {
            Ring::User if in_ntdll => "ntdll".to_owned(),
            Ring::User => format!("ntdll_{index}_{}", set.label.replace('-', "_")),
            Ring::Kernel if first_in_kernel => "nt".to_owned(),
            Ring::Kernel => format!("nt_{index}_{}", set.label.replace('-', "_")),
        }
    }

    /// The first set with the right label goes into ntdll, as long as it fits there; all others get pages of their own.
    fn place(&self, set: &StubSet, count: usize, longest: usize) -> Result<Place, BuildError> {
        let profile = &self.kernel.profile;
        let stride = profile.ntdll_stub_stride as usize;
        let room = (profile.fast_system_call - profile.ntdll_stubs) as usize;
        let wanted = set.ring == Ring::User && set.label == profile.ntdll_set && !self.ntdll_taken;
        if wanted && longest <= stride && count * stride <= room {
            return Ok(Place { base: profile.ntdll_stubs, stride, in_ntdll: true });
        }
        let stride = longest.next_multiple_of(STUB_ALIGN);
        let kernel_end = profile.initial_stack - profile.kernel_stack_pages * PAGE;
        let (base, end, what) = match set.ring {
            Ring::User => (self.next_user_stub, profile.teb, "stubs of ring 3"),
            Ring::Kernel => (self.next_kernel_stub, kernel_end, "stubs of ring 0"),
        };
        if stride * count > end.saturating_sub(base) as usize {
            return Err(BuildError::DoesNotFit { what });
        }
        Ok(Place { base, stride, in_ntdll: false })
    }

    fn store_stubs(&mut self, place: &Place, bytes: Vec<u8>, ring: Ring) {
        if bytes.is_empty() {
            return;
        }
        if place.in_ntdll {
            self.ntdll_taken = true;
            let offset = (u64::from(place.base) - self.ntdll.address) as usize;
            if let Some(slots) = self.ntdll.bytes.get_mut(offset..offset + bytes.len()) {
                slots.copy_from_slice(&bytes);
            }
            return;
        }
        let (next, access) = match ring {
            Ring::User => (&mut self.next_user_stub, Access::User),
            Ring::Kernel => (&mut self.next_kernel_stub, Access::Kernel),
        };
        let region = Region::new(place.base, bytes, 0, access);
        *next = place.base + region.size;
        self.regions.push(region);
    }

    /// Fills in what the linker would: the distance from the end of the field to the symbol.
    fn relocate(&self, code: &mut Code, address: u32) -> Result<(), EncodeError> {
        for relocation in &code.relocations {
            let unknown = || EncodeError::UnknownSymbol { symbol: relocation.symbol.clone() };
            let target = match (undecorated(&relocation.symbol), relocation.kind) {
                ("KiSystemService", RelocationKind::Rel32) => self.kernel.address(Routine::KiSystemService),
                _ => return Err(unknown()),
            };
            let end = relocation.offset + 4;
            let field = code.bytes.get_mut(relocation.offset..end).ok_or_else(unknown)?;
            let distance = target.wrapping_sub(address.wrapping_add(end as u32));
            field.copy_from_slice(&distance.to_le_bytes());
        }
        Ok(())
    }

    /// What a set's records hold when nothing is wrong.
    fn set_layout(&self, set: &StubSet, stub_addresses: Vec<u32>, past_end_address: Option<u32>) -> SetLayout {
        let profile = &self.kernel.profile;
        let (trap_frame, exception_list, stack) = match set.ring {
            Ring::User => (0, kpcr::EXCEPTION_CHAIN_END, profile.user_stack),
            Ring::Kernel => (
                profile.base_frame(),
                profile.kernel_data + kernel::REGISTRATION,
                profile.base_frame() - sets::KERNEL_STACK_USED,
            ),
        };
        SetLayout {
            stub_addresses,
            past_end_address,
            refusals: Vec::new(),
            trap_frame,
            exception_list,
            esp0: profile.esp0(),
            esp_before: stack - 4 * record::SENTINELS.len() as u32,
        }
    }
}

fn stub_error(set: usize, stub: usize, error: EncodeError) -> BuildError {
    BuildError::Stub { set, stub, error }
}
