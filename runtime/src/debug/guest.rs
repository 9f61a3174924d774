//! What a debugger has to know of the guest's system: its width, and where its structures are.

use crate::host::Places;
use crate::nt::{amd64, i386};

/// The system that a target is.
#[derive(Debug, Clone, Copy)]
pub enum Guest {
    /// Of 32 bits.
    I386(&'static i386::Profile),
    /// Of 64 bits.
    Amd64(&'static amd64::Profile),
}

impl Guest {
    /// The system of these places; `None` for a profile that neither guest has.
    #[must_use]
    pub fn of(places: &Places) -> Option<Self> {
        let name = places.profile();
        i386::Profile::by_name(name).map(Self::I386).or_else(|| amd64::Profile::by_name(name).map(Self::Amd64))
    }

    /// Bytes of a pointer.
    #[must_use]
    pub fn pointer(self) -> u64 {
        match self {
            Self::I386(_) => 4,
            Self::Amd64(_) => 8,
        }
    }

    /// Major version, minor version and build.
    #[must_use]
    pub fn version(self) -> (u32, u32, u32) {
        match self {
            Self::I386(profile) => (profile.major_version, profile.minor_version, profile.build),
            Self::Amd64(profile) => (profile.major_version, profile.minor_version, profile.build),
        }
    }

    /// The `KPCR`.
    #[must_use]
    pub fn kpcr(self) -> u64 {
        match self {
            Self::I386(profile) => profile.kpcr.into(),
            Self::Amd64(profile) => profile.kpcr,
        }
    }

    /// The TEB of the only thread.
    #[must_use]
    pub fn teb(self) -> u64 {
        match self {
            Self::I386(profile) => profile.teb.into(),
            Self::Amd64(profile) => profile.teb,
        }
    }

    /// Where a pointer to the running thread's `KTHREAD` is.
    #[must_use]
    pub fn current_thread(self) -> u64 {
        match self {
            Self::I386(profile) => (profile.kpcr + i386::layout::kpcr::CURRENT_THREAD).into(),
            Self::Amd64(profile) => profile.kpcr + u64::from(amd64::layout::kpcr::CURRENT_THREAD),
        }
    }

    /// Where the trap frame of an entry from ring 3 is, on the stack that the thread has at first.
    #[must_use]
    pub fn base_frame(self) -> u64 {
        match self {
            Self::I386(profile) => profile.base_frame().into(),
            Self::Amd64(profile) => profile.base_frame(),
        }
    }

    /// Bytes of a trap frame.
    #[must_use]
    pub fn trap_frame_size(self) -> u64 {
        match self {
            Self::I386(_) => i386::layout::trap_frame::SIZE.into(),
            Self::Amd64(_) => amd64::layout::trap_frame::SIZE.into(),
        }
    }
}
