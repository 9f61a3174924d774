//! Rules that only the kernel can break.
