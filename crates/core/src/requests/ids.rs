//! Numbers that name places in a table and cross to JavaScript: a place, and a stamp that distinguishes its owners.
//! Both fit into the 53 bits of a whole double.

const PLACE_BITS: u32 = 32;
const STAMP_BITS: u32 = 21;

/// The stamp of the `number`th owner of any place.
pub const fn stamp(number: u64) -> u64 {
    number & ((1 << STAMP_BITS) - 1)
}

/// A place and its owner's stamp as one number.
pub const fn pack(place: usize, stamp: u64) -> u64 {
    stamp << PLACE_BITS | (place as u64 & ((1 << PLACE_BITS) - 1))
}

/// The place and the stamp that a number was made of.
pub fn unpack(number: u64) -> (usize, u64) {
    let place = usize::try_from(number & ((1 << PLACE_BITS) - 1)).unwrap_or(usize::MAX);
    (place, number >> PLACE_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_a_stamp_are_one_number_that_a_double_holds() {
        for (place, number) in [(0, 0), (7, 1), (u32::MAX as usize, u64::MAX)] {
            let packed = pack(place, stamp(number));
            assert_eq!(unpack(packed), (place, stamp(number)));
            assert!(packed < 1 << 53);
        }
    }
}
