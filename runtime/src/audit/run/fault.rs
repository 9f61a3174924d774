//! Page faults of a call: pages of the image that are loaded now, fields of the system's pages, and what is not there.

use super::super::environment::{self, Found, Question};
use super::super::guest::{
    Access, Exhausted, Guest, PAGE, RETURN, Registers, STACK, USER_64, WINE_DISPATCHER, WINE_UNIX_CALL,
};
use super::{Caller, Run, Stop, Way, is_poison};
use ntgate_gen::Arch;

impl Caller<'_, '_, '_> {
    pub(super) fn page_fault(&mut self, code: u64, registers: Registers) -> Result<Registers, Stop> {
        let address = self.guest.fault_address();
        let (is_fetch, is_write) = (code & 0x10 != 0, code & 2 != 0);
        if is_fetch && address == registers.rip {
            match address {
                RETURN => return Err(self.returned(&registers)),
                WINE_DISPATCHER => return self.enter(Way::Wine, registers, Self::after_call),
                WINE_UNIX_CALL => return Err(Stop::External("Wine's Unix side".to_owned())),
                0 if self.image.is_wine => return self.enter(Way::Wine, registers, Self::after_call),
                _ if registers.cs == USER_64 && self.image.arch == Arch::I386 => {
                    return self.enter(Way::Wow64, registers, Self::after_wow64);
                }
                _ => {}
            }
        }
        if let Some(name) = self.image.external(address).map(str::to_owned) {
            return self.external(name, is_fetch, registers);
        }
        if let Some(rva) = self.image.rva(address) {
            return self.image_page(rva, address, is_fetch, is_write, registers);
        }
        if STACK.contains(&address) && !is_fetch {
            let page = address & !(PAGE - 1);
            self.dirty.push(page);
            let bytes = self.stack_page(page);
            return self.mapped(|guest| guest.map(page, &bytes, Access::WRITE), registers);
        }
        if environment::has(address) {
            return self.field(address, is_fetch, is_write, registers);
        }
        if is_fetch {
            return Err(Stop::Foreign(address));
        }
        let verb = if is_write { "writes" } else { "reads" };
        Err(Stop::Fault(format!("{verb} {} at {}", self.memory(address), self.place(registers.rip))))
    }

    /// An address that nothing is at.
    fn memory(&self, address: u64) -> String {
        if address < 0x1_0000 {
            return format!("through a null pointer ({address:X}h)");
        }
        if is_poison(address, self.image.arch) {
            return "through a pointer that its caller gives".to_owned();
        }
        format!("memory at {address:X}h")
    }

    fn mapped(
        &mut self,
        map: impl FnOnce(&mut Guest) -> Result<(), Exhausted>,
        registers: Registers,
    ) -> Result<Registers, Stop> {
        map(self.guest).map_err(|Exhausted| Stop::Memory)?;
        Ok(registers)
    }

    /// A page of the image: loaded when it is first touched, writable when it is first written.
    fn image_page(
        &mut self,
        rva: u32,
        address: u64,
        is_fetch: bool,
        is_write: bool,
        registers: Registers,
    ) -> Result<Registers, Stop> {
        let Some((bytes, access)) = self.image.page(rva) else {
            let verb = if is_fetch { "executes" } else { "uses" };
            return Err(Stop::Fault(format!("{verb} +{rva:X}h, where the image has nothing")));
        };
        let is_mapped = self.guest.is_mapped(address);
        if is_fetch && !access.execute {
            return Err(Stop::Fault(format!("executes +{rva:X}h, which is data")));
        }
        if is_write && !access.write {
            return Err(Stop::Fault(format!(
                "writes +{rva:X}h, which can only be read, at {}",
                self.place(registers.rip)
            )));
        }
        if is_mapped && !is_write {
            // It is there and may be used so: only a page of two kinds of content could come here.
            return Err(Stop::Fault(format!("cannot use +{rva:X}h")));
        }
        if is_write {
            self.dirty.push(address & !(PAGE - 1));
        }
        let access = Access { write: is_write, ..access };
        if is_mapped {
            return self.mapped(|guest| guest.protect(address, Some(access)), registers);
        }
        self.mapped(|guest| guest.map(address, &bytes, access), registers)
    }

    /// A page of fields: open for one instruction, if that reads what is known.
    fn field(&mut self, address: u64, is_fetch: bool, is_write: bool, registers: Registers) -> Result<Registers, Stop> {
        let at = self.place(registers.rip);
        let size = if is_fetch { 1 } else { self.operand_size(&registers) };
        let (arch, mut asked) = (self.image.arch, Vec::new());
        let found = environment::look(arch, address, size, is_fetch, |question| {
            asked.push(question);
            Self::answer(&mut self.run, self.call.answers, question)
        });
        match found {
            Found::Field { address: start, bytes } if !is_write => {
                self.close_window();
                let page = address & !(PAGE - 1);
                let access = Access { write: false, execute: is_fetch };
                // What is not the field is not looked at by an instruction that reads the field.
                self.guest.map(page, &[], access).map_err(|Exhausted| Stop::Memory)?;
                self.guest.poke(start, &bytes);
                self.window = Some(page);
                Ok(Registers { flags: registers.flags | 1 << 8, ..registers })
            }
            Found::Field { .. } => Err(Stop::Fault(format!("writes a field of the system's at {at}"))),
            Found::Unknown(place) => {
                let verb = if is_fetch {
                    "executes"
                } else if is_write {
                    "writes"
                } else {
                    "reads"
                };
                Err(Stop::Unmodelled(format!("{verb} {place}, which is not modelled, at {at}")))
            }
        }
    }

    /// The answer to a question; what was not decided before is 0.
    pub(super) fn answer(run: &mut Run, given: &[(Question, u8)], question: Question) -> u8 {
        if let Some((_, answer)) = run.asked.iter().find(|(asked, _)| *asked == question) {
            return *answer;
        }
        let answer = given.iter().find(|(asked, _)| *asked == question).map_or(0, |(_, answer)| *answer);
        run.asked.push((question, answer));
        answer
    }

    /// Bytes of the memory operand of the next instruction.
    fn operand_size(&self, registers: &Registers) -> u64 {
        self.decode(registers).memory_size().size().max(1) as u64
    }

    /// Something outside the image: the kernel's way in, or the end.
    fn external(&mut self, name: String, is_fetch: bool, registers: Registers) -> Result<Registers, Stop> {
        if !is_fetch {
            let at = self.place(registers.rip);
            return Err(Stop::Unmodelled(format!("uses the memory of {name}, which is not modelled, at {at}")));
        }
        let plain = name.trim_start_matches('_').split('@').next().unwrap_or_default();
        match plain {
            "KiSystemService" if self.image.arch == Arch::I386 => {
                self.enter(Way::Zw, registers, Self::after_kernel_call)
            }
            "KiServiceInternal" if self.image.arch == Arch::Amd64 => {
                self.enter(Way::Zw, registers, Self::after_internal)
            }
            "KiZwSystemService" if self.image.arch == Arch::Amd64 => self.enter(Way::Zw, registers, Self::after_call),
            // A bare `ret`.
            "KiServiceLinkage" if self.image.arch == Arch::Amd64 => self.after_call(registers),
            _ => Err(Stop::External(name)),
        }
    }
}
