use super::*;

#[test]
fn models_are_found_by_name_and_their_signatures_are_those_of_qemu() {
    let expected = [("486", 0x480), ("pentium", 0x543), ("pentium-pro", 0x619), ("pentium2", 0x652), ("core2", 0x6FB)];
    for (model, (name, signature)) in MODELS.iter().zip(expected) {
        assert_eq!(Model::by_name(name), Some(model));
        assert_eq!(model.signature, signature);
    }
    assert_eq!(Model::by_name("z80"), None);
}

#[test]
fn leaves_name_the_vendor_and_hide_what_is_not_executed() {
    for model in MODELS.iter().filter(|model| model.has_cpuid) {
        let [last, b, c, d] = model.leaf(0);
        let vendor: Vec<u8> = [b, d, c].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(vendor, b"GenuineIntel");
        assert_eq!(model.leaf(1), [model.signature, 0x800, 0, model.features]);
        assert_eq!(model.leaf(0x8000_0000), model.leaf(last));
        // FPU, PAE, MMX, FXSR, SSE, SSE2
        assert_eq!(model.features & (1 | 1 << 6 | 0xF << 23), 0);
    }
}

#[test]
fn only_processors_whose_sep_bit_is_true_have_sysenter() {
    let having: Vec<_> = MODELS.iter().filter(|model| model.has_sysenter()).map(|model| model.name).collect();
    assert_eq!(having, ["pentium2", "core2"]);
    assert!(Model::by_name("pentium-pro").is_some_and(|model| model.has(feature::SEP)));
}
