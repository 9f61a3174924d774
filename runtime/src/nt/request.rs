//! Requests that the harness makes through `int 2Dh`, in EAX. No service number and no debug service is that large.

/// Write the record of the call that has just ended.
pub(crate) const REPORT: u32 = 0x4E54_0001;
/// End the set, begin the next that runs in ring 3; does not come back when there is none.
pub(crate) const NEXT_SET: u32 = 0x4E54_0002;
/// Write dwords to the log: ECX = address, EDX = how many.
pub(crate) const DUMP: u32 = 0x4E54_0003;
