//! Everything at its place: service routines, tables, stubs, the harness's work, and the file.

use std::collections::BTreeMap;

use iced_x86::code_asm::{CodeAssembler, eax};
use ntgate_gen::stub::Stub;

use super::assembly::{Assembled, KernelAsm, Routine};
use super::data::{call, kernel, set};
use super::layout::{PAGE, service_table};
use super::memory::{Access, Region, elf_image, page_directory};
use super::profile::Profile;
use super::record::{self, KERNEL_POINTER, PAST_END, UNMAPPED_POINTER};
use super::system::{self, Block};
use super::user::UserCode;
use super::{
    BuildError, Image, Plan, Refusal, Ring, SetLayout, StubSet, Symbol, boot, dispatch, report,
    sets, traps,
};

/// Sets an image can hold: the set's number is one byte of a service's status.
const MAX_SETS: usize = 256;

/// What fills the gaps between stubs: `int 3`.
const GAP: u8 = 0xCC;

/// Stubs of sets that do not stand in ntdll begin at multiples of this.
const STUB_ALIGN: usize = 0x10;

/// The assembled guest of a profile, good for any number of plans.
#[derive(Debug, Clone)]
pub struct Kernel {
    profile: Profile,
    user: UserCode,
    code: Assembled,
    boot: Vec<u8>,
    regions: Vec<Region>,
}

impl Kernel {
    /// Assembles the guest.
    ///
    /// # Errors
    ///
    /// When the profile's addresses contradict each other.
    pub fn new(profile: &Profile) -> Result<Self, BuildError> {
        let user = UserCode::assemble(profile)?;
        // Some instructions have a routine's address as operand, so a first pass finds the addresses.
        let first = assemble(profile, &user, &BTreeMap::new())?;
        let code = assemble(profile, &user, &first.addresses)?;
        let startup = code
            .addresses
            .get(&Routine::KiSystemStartup)
            .copied()
            .unwrap_or(profile.kernel_text);
        let mut boot: Vec<u8> = boot::MULTIBOOT_HEADER
            .iter()
            .flat_map(|dword| dword.to_le_bytes())
            .collect();
        boot.extend(boot::boot_code(
            profile,
            page_directory(profile.boot_physical),
            startup,
        )?);
        let regions = system::regions(profile, &code, &user)?;
        Ok(Self {
            profile: profile.clone(),
            user,
            code,
            boot,
            regions,
        })
    }

    /// The image of a plan.
    ///
    /// # Errors
    ///
    /// When the plan contradicts itself or does not fit the profile.
    pub fn image(&self, plan: &Plan) -> Result<Image, BuildError> {
        check(plan)?;
        let mut builder = Builder::new(self);
        let services = builder.services(plan)?;
        builder.service_tables(plan, &services)?;
        for (index, set) in plan.sets.iter().enumerate() {
            builder.stubs(index, set)?;
        }
        builder.call_tables(plan)?;
        builder.finish()
    }

    fn address(&self, routine: Routine) -> u32 {
        self.code
            .addresses
            .get(&routine)
            .copied()
            .unwrap_or(self.profile.kernel_text)
    }

    /// Names of everything that is in every image.
    fn symbols(&self) -> Vec<Symbol> {
        let profile = &self.profile;
        let mut symbols: Vec<Symbol> = self
            .code
            .addresses
            .iter()
            .map(|(routine, address)| Symbol {
                name: routine.symbol(),
                address: *address,
            })
            .collect();
        for (name, address) in [
            ("ntdll!KiFastSystemCall", profile.fast_system_call),
            ("ntdll!KiFastSystemCallRet", profile.fast_system_call_ret()),
            ("ntdll!KiIntSystemCall", profile.int_system_call),
            ("ntgate!Start", self.user.start),
            ("ntgate!Recovery", self.user.recovery),
            ("ntgate!Direct", self.user.direct),
            ("ntgate!DirectInt", self.user.direct_int),
            ("ntgate!DirectFast", self.user.direct_fast),
            ("ntgate!Block", profile.user_data),
            ("ntgate!Sets", profile.user_tables),
            ("nt!KiInitialPCR", profile.kpcr),
            ("nt!KiGdt", profile.gdt),
            ("nt!KiIdt", profile.idt),
            ("nt!KiTss", profile.tss),
            ("nt!KiDoubleFaultTSS", profile.double_fault_tss()),
            ("nt!KiNMITSS", profile.nmi_tss()),
            ("nt!SharedUserData", profile.shared_kernel),
            ("SharedUserData", profile.shared_user),
            ("Teb", profile.teb),
            ("nt!KiInitialThread", profile.kernel_data + kernel::THREAD),
            (
                "nt!KeServiceDescriptorTable",
                profile.kernel_data + kernel::DESCRIPTOR_TABLE,
            ),
            (
                "nt!KeServiceDescriptorTableShadow",
                profile.kernel_data + kernel::DESCRIPTOR_TABLE_SHADOW,
            ),
            (
                "nt!KiServiceTable",
                profile.kernel_data + kernel::SERVICE_TABLE,
            ),
            (
                "nt!KiArgumentTable",
                profile.kernel_data + kernel::ARGUMENT_TABLE,
            ),
            (
                "nt!W32pServiceTable",
                profile.kernel_data + kernel::W32P_SERVICE_TABLE,
            ),
            (
                "nt!MmUserProbeAddress",
                profile.kernel_data + kernel::USER_PROBE_ADDRESS,
            ),
            (
                "nt!KiFastSystemCallDisable",
                profile.kernel_data + kernel::FAST_SYSTEM_CALL_DISABLE,
            ),
            ("nt!NtgateRecord", profile.kernel_data + kernel::RECORD),
        ] {
            symbols.push(Symbol {
                name: name.to_owned(),
                address,
            });
        }
        symbols
    }
}

/// One pass over the kernel's code.
fn assemble(
    profile: &Profile,
    user: &UserCode,
    known: &BTreeMap<Routine, u32>,
) -> Result<Assembled, BuildError> {
    let mut k = KernelAsm::new(profile, user, known)?;
    boot::emit(&mut k)?;
    dispatch::emit(&mut k)?;
    traps::emit(&mut k)?;
    report::emit(&mut k)?;
    sets::emit(&mut k)?;
    Ok(k.finish()?)
}

/// What can be said about a plan before anything is built.
fn check(plan: &Plan) -> Result<(), BuildError> {
    let max = service_table::MAX_SERVICES;
    let count = plan.services.len().max(plan.ssdt.len());
    if count > max {
        return Err(BuildError::TooManyServices { count, max });
    }
    if plan.ssdt.len() != plan.sspt.len() {
        return Err(BuildError::TablesDiffer {
            ssdt: plan.ssdt.len(),
            sspt: plan.sspt.len(),
        });
    }
    if plan.sets.len() > MAX_SETS {
        return Err(BuildError::TooManySets {
            count: plan.sets.len(),
            max: MAX_SETS,
        });
    }
    if let Some(set) = plan
        .sets
        .iter()
        .position(|set| set.stubs.len() > plan.services.len())
    {
        return Err(BuildError::TooManyStubs { set });
    }
    if let Some(service) = plan
        .services
        .iter()
        .position(|service| service.args_bytes > MAX_ARGUMENT_BYTES)
    {
        return Err(BuildError::TooManyArguments { service });
    }
    if plan.start.set >= plan.sets.len().max(1) {
        return Err(BuildError::NoSuchStart {
            set: plan.start.set,
        });
    }
    Ok(())
}

/// What the argument table's byte can hold, in whole dwords.
const MAX_ARGUMENT_BYTES: u32 = 0xFC;

/// An image in the making.
struct Builder<'k> {
    kernel: &'k Kernel,
    regions: Vec<Region>,
    symbols: Vec<Symbol>,
    data: Vec<u8>,
    sets: Vec<SetLayout>,
    /// ntdll: from the page of its first stub to the end of KiIntSystemCall.
    ntdll: Region,
    ntdll_taken: bool,
    next_user_stub: u32,
    next_kernel_stub: u32,
}

impl<'k> Builder<'k> {
    fn new(kernel: &'k Kernel) -> Self {
        let profile = &kernel.profile;
        let start = profile.ntdll_stubs & !(PAGE - 1);
        let mut ntdll = vec![GAP; (profile.fast_system_call - start) as usize];
        ntdll.extend_from_slice(&kernel.user.ntdll);
        Self {
            kernel,
            regions: kernel.regions.clone(),
            symbols: kernel.symbols(),
            data: Vec::new(),
            sets: Vec::new(),
            ntdll: Region::new(start, ntdll, 0, Access::User),
            ntdll_taken: false,
            next_user_stub: profile.other_stubs,
            next_kernel_stub: profile.kernel_stubs,
        }
    }

    /// One routine for each service; gives their addresses.
    fn services(&mut self, plan: &Plan) -> Result<Vec<u32>, BuildError> {
        let base = self.kernel.profile.kernel_services;
        let record = u64::from(self.kernel.address(Routine::NtgateService));
        let mut a = CodeAssembler::new(32)?;
        let mut addresses = Vec::with_capacity(plan.services.len());
        let mut address = base;
        for (index, service) in plan.services.iter().enumerate() {
            a.mov(eax, index as u32)?;
            a.call(record)?;
            // `mov` and `call` have five bytes each, `ret n` three, `ret` one.
            if service.args_bytes == 0 {
                a.ret()?;
            } else {
                a.ret_1(service.args_bytes)?;
            }
            addresses.push(address);
            self.symbols.push(Symbol {
                name: format!("nt!{}", service.name),
                address,
            });
            address += if service.args_bytes == 0 { 11 } else { 13 };
        }
        let code = a.assemble(u64::from(base))?;
        debug_assert_eq!(code.len() as u32, address - base);
        if !code.is_empty() {
            self.regions
                .push(Region::new(base, code, 0, Access::Kernel));
        }
        Ok(addresses)
    }

    /// KiServiceTable, KiArgumentTable and their descriptor, in the kernel's data.
    fn service_tables(&mut self, plan: &Plan, services: &[u32]) -> Result<(), BuildError> {
        let base = self.kernel.profile.kernel_data;
        let unused = self.kernel.address(Routine::NtgateUnusedService);
        let mut block = system::kernel_data(&self.kernel.profile, &self.kernel.code)?;
        for table in [kernel::DESCRIPTOR_TABLE, kernel::DESCRIPTOR_TABLE_SHADOW] {
            block.dword(table + service_table::BASE, base + kernel::SERVICE_TABLE);
            block.dword(table + service_table::LIMIT, plan.ssdt.len() as u32);
            block.dword(table + service_table::NUMBER, base + kernel::ARGUMENT_TABLE);
        }
        self.data = block.finish();
        for service in &plan.ssdt {
            let address = services.get(*service).copied().unwrap_or(unused);
            self.data.extend_from_slice(&address.to_le_bytes());
        }
        self.data.resize(kernel::ARGUMENT_TABLE as usize, 0);
        self.data.extend_from_slice(&plan.sspt);
        self.data.resize(kernel::ARGUMENTS as usize, 0);
        // Arguments in kernel space for the refusals.
        for index in 0..plan.sets.len() as u32 {
            let first = record::first_argument(index, KERNEL_POINTER);
            for k in 0..kernel::ARGUMENT_BLOCK / 4 {
                self.data
                    .extend_from_slice(&first.wrapping_add(k).to_le_bytes());
            }
        }
        Ok(())
    }

    /// Encodes a set's stubs where they will stand, the one past the end last.
    fn stubs(&mut self, index: usize, set: &StubSet) -> Result<(), BuildError> {
        let stubs: Vec<&Stub> = set.stubs.iter().chain(&set.past_end).collect();
        let codes = self.encode_for_size(index, &stubs)?;
        let longest = codes.iter().copied().max().unwrap_or(1).max(1);
        let (base, stride, in_ntdll) = self.place(set, stubs.len(), longest)?;
        let mut bytes = vec![GAP; stride * stubs.len()];
        let mut addresses = Vec::with_capacity(stubs.len());
        let module = self.module(index, set, in_ntdll);
        for (number, stub) in stubs.iter().enumerate() {
            let address = base + (number * stride) as u32;
            let code = self.encode(index, number, stub, address)?;
            if let Some(place) = bytes.get_mut(number * stride..number * stride + code.len()) {
                place.copy_from_slice(&code);
            }
            for symbol in &stub.symbols {
                let name = symbol.trim_start_matches('_');
                let name = name.split_once('@').map_or(name, |(name, _)| name);
                self.symbols.push(Symbol {
                    name: format!("{module}!{name}"),
                    address,
                });
            }
            addresses.push(address);
        }
        self.store_stubs(base, bytes, set.ring, in_ntdll)?;
        let past_end_address = set.past_end.as_ref().and_then(|_| addresses.pop());
        self.sets
            .push(self.set_layout(set, addresses, past_end_address));
        Ok(())
    }

    /// The module name of a set's symbols.
    fn module(&self, index: usize, set: &StubSet, in_ntdll: bool) -> String {
        match set.ring {
            Ring::User if in_ntdll => "ntdll".to_owned(),
            Ring::User => format!("ntdll_{index}_{}", set.label.replace('-', "_")),
            Ring::Kernel if self.next_kernel_stub == self.kernel.profile.kernel_stubs => {
                "nt".to_owned()
            }
            Ring::Kernel => format!("nt_{index}"),
        }
    }

    /// Where a set goes: address of its first stub, distance of its stubs, and whether that is in ntdll itself.
    fn place(
        &self,
        set: &StubSet,
        count: usize,
        longest: usize,
    ) -> Result<(u32, usize, bool), BuildError> {
        let profile = &self.kernel.profile;
        let stride = profile.ntdll_stub_stride as usize;
        let room = (profile.fast_system_call - profile.ntdll_stubs) as usize;
        if set.ring == Ring::User && set.label == profile.ntdll_set && !self.ntdll_taken {
            // The last stub may be longer than the stride's remainder only if nothing follows it too close.
            if longest <= stride && count * stride <= room {
                return Ok((profile.ntdll_stubs, stride, true));
            }
        }
        let stride = longest.next_multiple_of(STUB_ALIGN);
        let (base, end, what) = match set.ring {
            Ring::User => (self.next_user_stub, profile.teb, "stubs of ring 3"),
            Ring::Kernel => (
                self.next_kernel_stub,
                profile.initial_stack - profile.kernel_stack_pages * PAGE,
                "stubs of ring 0",
            ),
        };
        let size = stride * count;
        if size > (end - base) as usize {
            return Err(BuildError::DoesNotFit { what });
        }
        Ok((base, stride, false))
    }

    fn store_stubs(
        &mut self,
        base: u32,
        bytes: Vec<u8>,
        ring: Ring,
        in_ntdll: bool,
    ) -> Result<(), BuildError> {
        if in_ntdll {
            self.ntdll_taken = true;
            let offset = (base - self.ntdll.address) as usize;
            if let Some(place) = self.ntdll.bytes.get_mut(offset..offset + bytes.len()) {
                place.copy_from_slice(&bytes);
            }
            return Ok(());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let (next, access) = match ring {
            Ring::User => (&mut self.next_user_stub, Access::User),
            Ring::Kernel => (&mut self.next_kernel_stub, Access::Kernel),
        };
        let region = Region::new(base, bytes, 0, access);
        *next = base + region.size;
        self.regions.push(region);
        Ok(())
    }

    /// Lengths of the stubs' code. No instruction of a stub changes its length with the address.
    fn encode_for_size(&self, set: usize, stubs: &[&Stub]) -> Result<Vec<usize>, BuildError> {
        let length = |(stub, code): (usize, &&Stub)| match code.encode() {
            Ok(code) => Ok(code.bytes.len()),
            Err(error) => Err(BuildError::Stub { set, stub, error }),
        };
        stubs.iter().enumerate().map(length).collect()
    }

    fn encode(
        &self,
        set: usize,
        stub: usize,
        code: &Stub,
        address: u32,
    ) -> Result<Vec<u8>, BuildError> {
        let service = u64::from(self.kernel.address(Routine::KiSystemService));
        let resolve = |symbol: &str| {
            let name = symbol.trim_start_matches('_').split('@').next();
            (name == Some("KiSystemService")).then_some(service)
        };
        code.encode_at(u64::from(address), &resolve)
            .map_err(|error| BuildError::Stub { set, stub, error })
    }

    fn set_layout(
        &self,
        set: &StubSet,
        stub_addresses: Vec<u32>,
        past_end_address: Option<u32>,
    ) -> SetLayout {
        let profile = &self.kernel.profile;
        let sentinels = 4 * record::SENTINELS.len() as u32;
        let (trap_frame, exception_list, stack) = match set.ring {
            Ring::User => (
                0,
                super::layout::kpcr::EXCEPTION_CHAIN_END,
                profile.user_stack,
            ),
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
            esp_before: stack - sentinels,
        }
    }

    /// The calls that have to fail for their argument pointer. Without a service that has arguments there are none.
    fn refusals(&self, plan: &Plan, index: usize, set: &StubSet) -> Vec<Refusal> {
        let profile = &self.kernel.profile;
        let most = plan
            .sspt
            .iter()
            .enumerate()
            .rev()
            .max_by_key(|(_, bytes)| **bytes);
        let Some((number, args_bytes)) = most.filter(|(_, bytes)| set.refusals && **bytes > 0)
        else {
            return Vec::new();
        };
        let in_kernel =
            profile.kernel_data + kernel::ARGUMENTS + index as u32 * kernel::ARGUMENT_BLOCK;
        // Ring 0 is trusted: what it passes is read, so an unmapped pointer would be its own bug check.
        let calls = match set.ring {
            Ring::User => vec![
                (KERNEL_POINTER, in_kernel),
                (UNMAPPED_POINTER, profile.user_unmapped + 0x100),
            ],
            Ring::Kernel => vec![(KERNEL_POINTER, in_kernel)],
        };
        let refusal = |(call, pointer)| Refusal {
            call,
            number: number as u32,
            args_bytes: *args_bytes,
            pointer,
        };
        calls.into_iter().map(refusal).collect()
    }

    /// Texts, sets and call tables: what the kernel and the harness go through.
    fn call_tables(&mut self, plan: &Plan) -> Result<(), BuildError> {
        let base = self.kernel.profile.user_tables;
        let mut sets = Block::new(plan.sets.len() as u32 * set::SIZE);
        // The sets come first, then everything they point to.
        let first = base + plan.sets.len() as u32 * set::SIZE;
        let mut rest: Vec<u8> = Vec::new();
        let text = |rest: &mut Vec<u8>, text: String| {
            let address = first + rest.len() as u32;
            rest.extend_from_slice(text.as_bytes());
            rest.resize(rest.len().next_multiple_of(4), 0);
            (address, text.len() as u32)
        };
        let name = self.kernel.profile.name;
        let header = format!(
            "ntgate 1 profile {name} services {} sets {}\n",
            plan.services.len(),
            plan.sets.len()
        );
        let header = text(&mut rest, header);
        for (index, planned) in plan.sets.iter().enumerate() {
            let at = index as u32 * set::SIZE;
            let label = &planned.label;
            for (field, line) in [
                (set::BEGIN_TEXT, format!("set {index} {label} entry ")),
                (set::SKIP_TEXT, format!("set {index} {label} skipped\n")),
                (set::END_TEXT, format!("end {index}\n")),
            ] {
                let (address, length) = text(&mut rest, line);
                sets.dword(at + field, address);
                sets.dword(at + field + 4, length);
            }
            let refusals = self.refusals(plan, index, planned);
            let entries = self.entries(plan, index, &refusals);
            if let Some(layout) = self.sets.get_mut(index) {
                layout.refusals = refusals;
            }
            sets.dword(at + set::ENTRIES, first + rest.len() as u32);
            rest.extend(entries.iter().flat_map(|dword| dword.to_le_bytes()));
            sets.dword(at + set::ENTRIES_END, first + rest.len() as u32);
            sets.dword(at + set::FORM, planned.form as u32);
            sets.dword(at + set::NEEDS_SYSENTER, planned.needs_sysenter.into());
            sets.dword(at + set::KERNEL, (planned.ring == Ring::Kernel).into());
            sets.dword(at + set::INDEX, index as u32);
        }
        let mut bytes = sets.finish();
        bytes.extend_from_slice(&rest);
        if bytes.len() as u64 > u64::from(self.kernel.profile.ntdll_stubs - base) {
            return Err(BuildError::DoesNotFit {
                what: "call tables",
            });
        }
        let mut plan_block = Block::from(std::mem::take(&mut self.data));
        plan_block.dword(kernel::HEADER_TEXT, header.0);
        plan_block.dword(kernel::HEADER_TEXT + 4, header.1);
        plan_block.dword(kernel::SETS, base + plan.start.set as u32 * set::SIZE);
        plan_block.dword(kernel::SETS_END, first);
        self.data = plan_block.finish();
        self.regions.push(Region::new(base, bytes, 0, Access::User));
        Ok(())
    }

    /// The call table of one set, as dwords.
    fn entries(&self, plan: &Plan, index: usize, refusals: &[Refusal]) -> Vec<u32> {
        let (Some(set), Some(layout)) = (plan.sets.get(index), self.sets.get(index)) else {
            return Vec::new();
        };
        let from = if index == plan.start.set {
            plan.start.call
        } else {
            0
        };
        let direct = match set.ring {
            Ring::User => self.kernel.user.direct,
            Ring::Kernel => self.kernel.address(Routine::NtgateDirect),
        };
        let number = index as u32;
        let poison = |call: u32| [record::POISON_EAX | call, record::POISON_EDX | call];
        let mut entries =
            Vec::with_capacity((layout.stub_addresses.len() + 3) * call::SIZE as usize / 4);
        let mut entry = |target: u32, args: u32, call: u32, [a, d]: [u32; 2]| {
            if call >= from {
                entries.extend([
                    target,
                    args,
                    number << 16 | call,
                    record::first_argument(number, call),
                    a,
                    d,
                ]);
            }
        };
        for (call, (target, service)) in
            layout.stub_addresses.iter().zip(&plan.services).enumerate()
        {
            let call = call as u32;
            entry(*target, service.args_bytes / 4, call, poison(call));
        }
        if let Some(target) = layout.past_end_address {
            entry(target, 0, PAST_END, poison(PAST_END));
        }
        for refusal in refusals {
            entry(direct, 0, refusal.call, [refusal.number, refusal.pointer]);
        }
        entries
    }

    fn finish(mut self) -> Result<Image, BuildError> {
        let profile = &self.kernel.profile;
        self.regions.push(self.ntdll);
        self.regions.push(Region::new(
            profile.kernel_data,
            self.data,
            0,
            Access::KernelWrite,
        ));
        let boot = self.kernel.boot.clone();
        let elf = elf_image(
            boot,
            profile.boot_physical,
            boot::entry(profile),
            &self.regions,
        )?;
        self.symbols
            .sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
        Ok(Image {
            elf,
            symbols: self.symbols,
            sets: self.sets,
        })
    }
}
