//! The stubs under test, each encoded where it will stand.

use ntgate_gen::stub::{Code, EncodeError, RelocationKind, Stub};

use super::assembly::Routine;
use super::image::Builder;
use super::layout::trap_frame;
use super::memory::{Access, Region};
use super::record::SLOTS;
use super::{BuildError, Ring, SetLayout, StubSet, Symbol, sets};

/// What fills the gaps between stubs: `int 3`.
pub(crate) const GAP: u8 = 0xCC;

/// Stubs begin at multiples of this.
const STUB_ALIGN: usize = 0x10;

/// Size of a page, for addresses.
const PAGE: u64 = super::layout::PAGE as u64;

/// Where a set's stubs go.
struct Place {
    /// Address of the first.
    base: u64,
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
            let address = place.base + (number * place.stride) as u64;
            self.relocate(code, address).map_err(|error| stub_error(index, number, error))?;
            for (to, from) in slot.iter_mut().zip(&code.bytes) {
                *to = *from;
            }
            let symbol = |symbol| Symbol { name: format!("{module}!{symbol}"), address };
            self.symbols.extend(stub.symbols.iter().map(symbol));
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
        let end = profile.ntdll_dispatchers;
        let wanted = set.ring == Ring::User && set.label == profile.ntdll_set && !self.ntdll_taken;
        if wanted && longest <= stride && (count * stride) as u64 <= end - profile.ntdll_stubs {
            return Ok(Place { base: profile.ntdll_stubs, stride, in_ntdll: true });
        }
        let stride = longest.next_multiple_of(STUB_ALIGN);
        let (base, end, what) = match set.ring {
            Ring::User => (self.next_user_stub, profile.user_probe_address, "stubs of ring 3"),
            // As far as a relative jump into the kernel's code reaches.
            Ring::Kernel => (self.next_kernel_stub, profile.kernel_text + 0x7000_0000, "stubs of ring 0"),
        };
        if (stride * count) as u64 > end.saturating_sub(base) {
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
            let page = place.base & !(PAGE - 1);
            let mut image = vec![GAP; (place.base - page) as usize];
            image.extend(bytes);
            self.regions.push(Region::new(page, image, 0, Access::User));
            return;
        }
        let (next, access) = match ring {
            Ring::User => (&mut self.next_user_stub, Access::User),
            Ring::Kernel => (&mut self.next_kernel_stub, Access::Kernel),
        };
        let region = Region::new(place.base, bytes, 0, access);
        *next = place.base + u64::from(region.size);
        self.regions.push(region);
    }

    /// Fills in what the linker would: the distance from the end of the field to the symbol.
    fn relocate(&self, code: &mut Code, address: u64) -> Result<(), EncodeError> {
        for relocation in &code.relocations {
            let unknown = || EncodeError::UnknownSymbol { symbol: relocation.symbol.clone() };
            let RelocationKind::Rel32 = relocation.kind else { return Err(unknown()) };
            let target = self.symbol(&relocation.symbol).ok_or_else(unknown)?;
            let end = relocation.offset + 4;
            let field = code.bytes.get_mut(relocation.offset..end).ok_or_else(unknown)?;
            let distance = target.wrapping_sub(address + end as u64) as u32;
            field.copy_from_slice(&distance.to_le_bytes());
        }
        Ok(())
    }

    /// Address of what a stub can refer to.
    fn symbol(&self, name: &str) -> Option<u64> {
        let routine = match name {
            "KiServiceInternal" => Routine::KiServiceInternal,
            "KiServiceLinkage" => Routine::KiServiceLinkage,
            "KiZwSystemService" => Routine::RosKiZwSystemService,
            service => return self.by_name.get(service).copied(),
        };
        Some(self.kernel.code.address(routine))
    }

    /// What a set's records hold when nothing is wrong.
    fn set_layout(&self, set: &StubSet, stub_addresses: Vec<u64>, past_end_address: Option<u64>) -> SetLayout {
        let profile = &self.kernel.profile;
        let base_frame = profile.base_frame();
        let (stack, gs_self) = match set.ring {
            Ring::User => (profile.user_stack, profile.teb),
            Ring::Kernel => (base_frame - u64::from(sets::KERNEL_STACK_USED), profile.kpcr),
        };
        let rsp_before = stack - u64::from(8 * SLOTS);
        let frame = match set.ring {
            Ring::User => base_frame,
            // Both kinds of kernel stubs end up with two qwords between the caller's RSP and the frame: Windows's
            // return address and a gap, ReactOS's return address and RBP.
            Ring::Kernel => rsp_before - 0x10 - u64::from(trap_frame::SIZE),
        };
        SetLayout {
            stub_addresses,
            past_end_address,
            refusals: Vec::new(),
            frame,
            trap_frame: base_frame,
            stack_top: profile.initial_stack,
            rsp_before,
            gs_self,
        }
    }
}

fn stub_error(set: usize, stub: usize, error: EncodeError) -> BuildError {
    BuildError::Stub { set, stub, error }
}
