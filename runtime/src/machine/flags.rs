//! EFLAGS, with the six arithmetic flags worked out only when something reads them.
//!
//! An arithmetic instruction stores its result and the vector of carries out of each bit; both cost a few operations.
//! From them every flag follows:
//!
//! ```text
//!   aux   31    CF   carry out of the top bit
//!         30         carry into the top bit, so OF = bit 31 XOR bit 30
//!         15..8      XORed to the result's low byte before its parity is taken
//!         3     AF   carry out of bit 3
//!         0          XORed to the result's sign to give SF
//!   result           sign-extended; ZF = (result == 0)
//! ```
//! The deltas in bits 15..8 and 0 are zero after arithmetic; they let any combination of flags be stored (`POPFD` can
//! load ZF and SF both set).

use std::fmt;

use super::width::Width;

/// Carry flag.
pub const CF: u32 = 1 << 0;
/// Bit 1, always set.
pub const ALWAYS: u32 = 1 << 1;
/// Parity flag.
pub const PF: u32 = 1 << 2;
/// Auxiliary carry flag.
pub const AF: u32 = 1 << 4;
/// Zero flag.
pub const ZF: u32 = 1 << 6;
/// Sign flag.
pub const SF: u32 = 1 << 7;
/// Trap flag.
pub const TF: u32 = 1 << 8;
/// Interrupt-enable flag.
pub const IF: u32 = 1 << 9;
/// Direction flag.
pub const DF: u32 = 1 << 10;
/// Overflow flag.
pub const OF: u32 = 1 << 11;
/// I/O privilege level, two bits.
pub const IOPL: u32 = 3 << 12;
/// Nested task.
pub const NT: u32 = 1 << 14;
/// Resume flag.
pub const RF: u32 = 1 << 16;
/// Virtual-8086 mode.
pub const VM: u32 = 1 << 17;
/// Alignment check.
pub const AC: u32 = 1 << 18;
/// Virtual interrupt flag.
pub const VIF: u32 = 1 << 19;
/// Virtual interrupt pending.
pub const VIP: u32 = 1 << 20;
/// Identification flag (`CPUID` is there if software can change it).
pub const ID: u32 = 1 << 21;

/// The six arithmetic flags.
pub const ARITHMETIC: u32 = CF | PF | AF | ZF | SF | OF;

const AUX_CF: u32 = 1 << 31;
const AUX_PO: u32 = 1 << 30;
const AUX_AF: u32 = 1 << 3;
const AUX_SIGN: u32 = 1;

/// EFLAGS (SDM vol. 1, 3.4.3).
#[derive(Clone, Copy)]
pub struct Flags {
    result: u64,
    aux: u32,
    /// Every bit but the six arithmetic ones, where EFLAGS has it.
    system: u32,
}

impl Default for Flags {
    fn default() -> Self {
        let mut flags = Self { result: 0, aux: 0, system: 0 };
        flags.set(ALWAYS);
        flags
    }
}

impl Flags {
    /// The whole register.
    pub fn get(&self) -> u32 {
        let bit = |on: bool, mask: u32| if on { mask } else { 0 };
        self.system
            | ALWAYS
            | bit(self.cf(), CF)
            | bit(self.pf(), PF)
            | bit(self.af(), AF)
            | bit(self.zf(), ZF)
            | bit(self.sf(), SF)
            | bit(self.of(), OF)
    }

    /// Replaces the whole register.
    pub fn set(&mut self, value: u32) {
        self.system = value & !ARITHMETIC | ALWAYS;
        self.set_arithmetic(value);
    }

    /// Replaces the six arithmetic flags.
    pub fn set_arithmetic(&mut self, value: u32) {
        // A result whose low byte and sign are zero, so that the deltas are the flags themselves.
        self.result = if value & ZF != 0 { 0 } else { 0x100 };
        let carry = value & CF != 0;
        let carry_in = carry ^ (value & OF != 0);
        self.aux = (u32::from(carry) << 31)
            | (u32::from(carry_in) << 30)
            | (u32::from(value & PF == 0) << 8)
            | (u32::from(value & AF != 0) << 3)
            | u32::from(value & SF != 0);
    }

    /// The bits that are not arithmetic.
    #[inline(always)]
    pub fn system(&self) -> u32 {
        self.system
    }

    /// Sets and clears bits that are not arithmetic.
    pub fn change_system(&mut self, clear: u32, set: u32) {
        self.system = (self.system & !clear | set) & !ARITHMETIC | ALWAYS;
    }

    /// I/O privilege level, 0 to 3.
    pub fn iopl(&self) -> u8 {
        (self.system >> 12 & 3) as u8
    }

    /// CF.
    #[inline(always)]
    pub fn cf(&self) -> bool {
        self.aux & AUX_CF != 0
    }

    /// PF: the low byte of the result has an even number of ones.
    #[inline(always)]
    pub fn pf(&self) -> bool {
        ((self.result as u8) ^ (self.aux >> 8) as u8).count_ones() & 1 == 0
    }

    /// AF.
    #[inline(always)]
    pub fn af(&self) -> bool {
        self.aux & AUX_AF != 0
    }

    /// ZF.
    #[inline(always)]
    pub fn zf(&self) -> bool {
        self.result == 0
    }

    /// SF.
    #[inline(always)]
    pub fn sf(&self) -> bool {
        (self.result >> 63) as u32 ^ (self.aux & AUX_SIGN) != 0
    }

    /// OF.
    #[inline(always)]
    pub fn of(&self) -> bool {
        (self.aux ^ (self.aux << 1)) & AUX_CF != 0
    }

    /// DF.
    #[inline(always)]
    pub fn df(&self) -> bool {
        self.system & DF != 0
    }

    /// CF alone; the others stay.
    #[inline(always)]
    pub(crate) fn set_cf(&mut self, on: bool) {
        // OF is the XOR of the two top bits, so both turn together.
        if self.cf() != on {
            self.aux ^= AUX_CF | AUX_PO;
        }
    }

    /// CF and OF together, as the shifts, rotates and multiplications leave them; the others stay.
    #[inline(always)]
    pub(crate) fn set_cf_of(&mut self, cf: bool, of: bool) {
        self.aux = self.aux & !(AUX_CF | AUX_PO) | (u32::from(cf) << 31) | (u32::from(cf ^ of) << 30);
    }

    /// ZF alone; the others stay (`ARPL`, `LAR`, `CMPXCHG8B`).
    pub(crate) fn set_zf(&mut self, on: bool) {
        let value = self.get() & !ZF | if on { ZF } else { 0 };
        self.set_arithmetic(value);
    }

    /// After a logical operation: CF, OF and AF clear.
    #[inline(always)]
    pub(crate) fn logic<W: Width>(&mut self, result: W) {
        self.result = result.sx();
        self.aux = 0;
    }

    /// After an addition with these carries out of each bit.
    #[inline(always)]
    fn carries<W: Width>(&mut self, result: W, carries: u64) {
        self.result = result.sx();
        let top = if W::BITS > 32 { carries >> (W::BITS - 32) } else { carries << (32 - W::BITS) };
        self.aux = top as u32 & (AUX_CF | AUX_PO) | carries as u32 & AUX_AF;
    }

    /// After `result = a + b (+ carry)`.
    #[inline(always)]
    pub(crate) fn add<W: Width>(&mut self, a: W, b: W, result: W) {
        let (a, b) = (a.zx(), b.zx());
        self.carries(result, (a & b) | ((a | b) & !result.zx()));
    }

    /// After `result = a - b (- borrow)`.
    #[inline(always)]
    pub(crate) fn sub<W: Width>(&mut self, a: W, b: W, result: W) {
        let (a, b) = (a.zx(), b.zx());
        self.carries(result, (!a & b) | (!(a ^ b) & result.zx()));
    }
}

impl fmt::Display for Flags {
    /// The flags that are set, by name: `CF SF IF`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u32, &str); 13] = [
            (CF, "CF"),
            (PF, "PF"),
            (AF, "AF"),
            (ZF, "ZF"),
            (SF, "SF"),
            (TF, "TF"),
            (IF, "IF"),
            (DF, "DF"),
            (OF, "OF"),
            (NT, "NT"),
            (RF, "RF"),
            (AC, "AC"),
            (ID, "ID"),
        ];
        let value = self.get();
        let mut first = true;
        for (mask, name) in NAMES {
            if value & mask != 0 {
                write!(f, "{}{name}", if first { "" } else { " " })?;
                first = false;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X} [{self}]", self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_arithmetic_flags_can_be_stored() {
        let bits = [CF, PF, AF, ZF, SF, OF];
        for choice in 0..64u32 {
            let wanted =
                bits.iter().enumerate().filter(|(i, _)| choice >> i & 1 != 0).fold(0, |all, (_, bit)| all | bit);
            let mut flags = Flags::default();
            flags.set(wanted);
            assert_eq!(flags.get(), wanted | ALWAYS);
            for cf in [false, true] {
                let mut changed = flags;
                changed.set_cf(cf);
                assert_eq!(changed.get(), (wanted | ALWAYS) & !CF | if cf { CF } else { 0 });
            }
        }
    }

    #[test]
    fn addition_and_subtraction_agree_with_wide_arithmetic() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let mut flags = Flags::default();
                let sum = a.wrapping_add(b);
                flags.add(a, b, sum);
                assert_eq!(flags.cf(), u16::from(a) + u16::from(b) > 255);
                assert_eq!(flags.of(), (a as i8).checked_add(b as i8).is_none());
                assert_eq!(flags.af(), (a & 15) + (b & 15) > 15);
                assert_eq!((flags.zf(), flags.sf()), (sum == 0, sum > 127));
                let difference = a.wrapping_sub(b);
                flags.sub(a, b, difference);
                assert_eq!(flags.cf(), a < b);
                assert_eq!(flags.of(), (a as i8).checked_sub(b as i8).is_none());
                assert_eq!(flags.af(), a & 15 < b & 15);
                assert_eq!(flags.pf(), difference.count_ones() % 2 == 0);
            }
        }
    }
}
