//! Frequent items of a column: counts of so many items as are tracked, and how much was taken off all of them to let
//! the rare ones go.
//!
//! Our own `ItemsSketch` of DataSketches, not that of the crate `datasketches`: which of equally frequent items comes
//! first follows from where Java's hash codes put them, and the crate hashes otherwise. Source: DataSketches,
//! `ItemsSketch`, `ReversePurgeItemHashMap`.

use super::item::{Item, Kind};

/// The log of the smallest number of slots.
const LG_SLOTS_MIN: u8 = 3;
/// The log of the largest number of slots: for Spark's limit of a million tracked items.
const LG_SLOTS_MAX: u8 = 21;
/// So many counts are looked at to guess the median.
const SAMPLES: usize = 1024;

const PREAMBLE_LONGS_EMPTY: u8 = 1;
const PREAMBLE_LONGS: u8 = 4;
const SERIAL_VERSION: u8 = 1;
const FAMILY: u8 = 10;
const FLAGS_EMPTY: u8 = 5;

#[derive(Debug)]
pub(super) struct FrequentItems {
    lg_slots_max: u8,
    /// A power of two of them, of which three quarters may be taken.
    slots: Vec<Option<Slot>>,
    active: usize,
    /// What all counts may be too low by.
    offset: u64,
    weight: u64,
}

#[derive(Debug)]
struct Slot {
    item: Item,
    count: u64,
    /// How far it is from where its hash code points, from 1.
    drift: usize,
}

impl FrequentItems {
    /// Starts to track so many items. Source: Spark, `ApproxTopK.calMaxMapSize`.
    pub fn tracking(items: u32) -> Self {
        let needed = (u64::from(items) * 4).div_ceil(3).next_power_of_two();
        let lg_slots = u8::try_from(needed.trailing_zeros()).unwrap_or(LG_SLOTS_MAX);
        Self::with_slots(lg_slots.clamp(LG_SLOTS_MIN, LG_SLOTS_MAX), LG_SLOTS_MIN)
    }

    fn with_slots(lg_slots_max: u8, lg_slots: u8) -> Self {
        Self {
            lg_slots_max,
            slots: empty_slots(1 << lg_slots),
            active: 0,
            offset: 0,
            weight: 0,
        }
    }

    fn lg_slots(&self) -> u8 {
        u8::try_from(self.slots.len().trailing_zeros()).unwrap_or(LG_SLOTS_MAX)
    }

    /// Counts an item some times more.
    pub fn add(&mut self, item: Item, count: u64) {
        if count == 0 {
            return;
        }
        self.weight = self.weight.saturating_add(count);
        self.put(item, count);
        if self.active <= self.slots.len() / 4 * 3 {
            return;
        }
        match self.lg_slots() < self.lg_slots_max {
            true => self.grow(),
            false => self.purge(),
        }
    }

    /// Counts what another has counted.
    pub fn merge(&mut self, other: &Self) {
        if other.active == 0 {
            return;
        }
        let weight = self.weight.saturating_add(other.weight);
        for slot in other.in_stride() {
            self.add(slot.item.clone(), slot.count);
        }
        self.offset = self.offset.saturating_add(other.offset);
        self.weight = weight;
    }

    /// Returns the items that are more frequent than what was taken off, with estimates, the most frequent first.
    pub fn most_frequent(&self) -> Vec<(&Item, u64)> {
        let mut items: Vec<(&Item, u64)> = self
            .in_stride()
            .filter(|slot| slot.count >= self.offset)
            .map(|slot| (&slot.item, slot.count.saturating_add(self.offset)))
            .collect();
        items.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        items
    }

    /// Returns the bytes of memory that it has, apart from itself.
    pub fn bytes(&self) -> usize {
        let texts = self.slots.iter().flatten().map(|slot| match &slot.item {
            Item::Text(text) => text.capacity(),
            _ => 0,
        });
        self.slots.capacity() * size_of::<Option<Slot>>() + texts.sum::<usize>()
    }

    /// Returns the slots in steps of the golden ratio, so that one that takes them up has no clusters.
    fn in_stride(&self) -> impl Iterator<Item = &Slot> {
        let mask = self.slots.len() - 1;
        let stride = ((self.slots.len() as f64 * (5_f64.sqrt() - 1.0) / 2.0) as usize) | 1;
        (0..self.slots.len())
            .filter_map(move |step| self.slots.get(step.wrapping_mul(stride) & mask)?.as_ref())
    }

    fn put(&mut self, item: Item, count: u64) {
        let mask = self.slots.len() - 1;
        let (mut place, mut drift) = (spread(item.hash_code()) & mask, 1);
        while let Some(taken) = self.slots.get_mut(place) {
            match taken {
                Some(slot) if slot.item == item => {
                    slot.count = slot.count.saturating_add(count);
                    return;
                }
                Some(_) => (place, drift) = ((place + 1) & mask, drift + 1),
                None => {
                    *taken = Some(Slot { item, count, drift });
                    self.active += 1;
                    return;
                }
            }
        }
    }

    fn grow(&mut self) {
        let slots = empty_slots(self.slots.len() * 2);
        self.active = 0;
        for slot in std::mem::replace(&mut self.slots, slots).into_iter().flatten() {
            self.put(slot.item, slot.count);
        }
    }

    /// Takes the median off all counts, and lets those go that have no more.
    fn purge(&mut self) {
        let samples = self.slots.iter().flatten().map(|slot| slot.count);
        let mut samples: Vec<u64> = samples.take(SAMPLES).collect();
        let middle = samples.len() / 2;
        if middle == 0 {
            return;
        }
        let median = *samples.select_nth_unstable(middle).1;
        for slot in self.slots.iter_mut().flatten() {
            slot.count = slot.count.saturating_sub(median);
        }
        self.keep_positive();
        self.offset = self.offset.saturating_add(median);
    }

    /// Goes from the back, from the end of a cluster: what is moved into a hole is from behind it.
    fn keep_positive(&mut self) {
        let end = self.slots.iter().rposition(Option::is_none).unwrap_or_default();
        let places = (0..end).rev().chain((end..self.slots.len()).rev());
        for place in places {
            if matches!(self.slots.get(place), Some(Some(slot)) if slot.count == 0) {
                self.remove(place);
            }
        }
    }

    /// Empties a slot, and moves up those behind it that were put off.
    fn remove(&mut self, place: usize) {
        let mask = self.slots.len() - 1;
        let mut hole = place;
        if let Some(slot) = self.slots.get_mut(hole) {
            *slot = None;
            self.active -= 1;
        }
        let (mut probe, mut distance) = ((hole + 1) & mask, 1);
        while let Some(Some(slot)) = self.slots.get_mut(probe) {
            if slot.drift > distance {
                slot.drift -= distance;
                self.slots.swap(hole, probe);
                (hole, distance) = (probe, 0);
            }
            (probe, distance) = ((probe + 1) & mask, distance + 1);
        }
    }

    /// Returns the binary form. Source: DataSketches, frequencies `PreambleUtil`.
    pub fn to_bytes(&self, kind: Kind) -> Vec<u8> {
        let (longs, flags) = match self.active {
            0 => (PREAMBLE_LONGS_EMPTY, FLAGS_EMPTY),
            _ => (PREAMBLE_LONGS, 0),
        };
        let sizes = [self.lg_slots_max, self.lg_slots()];
        let mut bytes = vec![longs, SERIAL_VERSION, FAMILY, sizes[0], sizes[1], flags, 0, 0];
        if self.active == 0 {
            return bytes;
        }
        let active = u64::try_from(self.active).unwrap_or_default();
        for long in [active, self.weight, self.offset] {
            bytes.extend(long.to_le_bytes());
        }
        let slots: Vec<&Slot> = self.slots.iter().flatten().collect();
        slots
            .iter()
            .for_each(|slot| bytes.extend(slot.count.to_le_bytes()));
        let items: Vec<&Item> = slots.iter().map(|slot| &slot.item).collect();
        kind.write(&items, &mut bytes);
        bytes
    }

    /// Reads the binary form; none if it is something else, or of items of another kind.
    pub fn from_bytes(bytes: &[u8], kind: Kind) -> Option<Self> {
        let [
            longs,
            SERIAL_VERSION,
            FAMILY,
            lg_slots_max,
            lg_slots,
            flags,
            _,
            _,
            rest @ ..,
        ] = bytes
        else {
            return None;
        };
        let empty = flags & FLAGS_EMPTY != 0;
        // Java makes at least the smallest map of a smaller size.
        let lg_slots_max = (*lg_slots_max).max(LG_SLOTS_MIN);
        let lg_slots = (*lg_slots).max(LG_SLOTS_MIN);
        let sizes_agree = lg_slots <= lg_slots_max && lg_slots_max <= LG_SLOTS_MAX;
        if !sizes_agree || empty != (*longs == PREAMBLE_LONGS_EMPTY) {
            return None;
        }
        if empty {
            return Some(Self::with_slots(lg_slots_max, LG_SLOTS_MIN));
        }
        if *longs != PREAMBLE_LONGS {
            return None;
        }
        let (preamble, rest) = rest.split_first_chunk::<24>()?;
        let [active, weight, offset] = preamble.as_chunks::<8>().0 else {
            return None;
        };
        let active = usize::try_from(u64::from_le_bytes(*active)).ok()?;
        let (counts, items) = rest.split_at_checked(active.checked_mul(8)?)?;
        if active == 0 || active > (1 << lg_slots) / 4 * 3 {
            return None;
        }
        let counts = counts.as_chunks::<8>().0.iter();
        let counts = counts.map(|count| i64::from_le_bytes(*count));
        let mut sketch = Self::with_slots(lg_slots_max, lg_slots);
        for (item, count) in kind.read(items, active)?.into_iter().zip(counts) {
            sketch.put(item, u64::try_from(count).ok().filter(|count| *count > 0)?);
        }
        let long = |bytes: &[u8; 8]| u64::try_from(i64::from_le_bytes(*bytes)).ok();
        sketch.weight = long(weight)?;
        sketch.offset = long(offset)?;
        Some(sketch)
    }
}

fn empty_slots(count: usize) -> Vec<Option<Slot>> {
    std::iter::repeat_with(|| None).take(count).collect()
}

/// Spreads a hash code over the places. Source: DataSketches, frequencies `Util.hash`.
fn spread(hash_code: i32) -> usize {
    let mut key = i64::from(hash_code).cast_unsigned();
    key ^= key >> 33;
    key = key.wrapping_mul(0xff51_afd7_ed55_8ccd);
    key ^= key >> 33;
    key = key.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    key ^= key >> 33;
    // A place is of the lower bits.
    usize::try_from(key & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::garbled;
    use super::*;

    fn counted(items: &[i32]) -> FrequentItems {
        let mut sketch = FrequentItems::tracking(10_000);
        items.iter().for_each(|item| sketch.add(Item::Int(*item), 1));
        sketch
    }

    fn listed(sketch: &FrequentItems) -> Vec<(i32, u64)> {
        let items = sketch.most_frequent().into_iter();
        items.map(|(item, count)| (item.hash_code(), count)).collect()
    }

    /// The order is that of the examples of Spark's documentation.
    #[test]
    fn equally_frequent_items_are_in_the_order_of_spark() {
        let sketch = counted(&[0, 0, 1, 1, 2, 3, 4, 4]);
        assert_eq!(listed(&sketch), [(0, 2), (4, 2), (1, 2), (2, 1), (3, 1)]);
    }

    #[test]
    fn rare_items_go_and_frequent_ones_stay() {
        let mut sketch = FrequentItems::tracking(6);
        for item in 0..1000 {
            sketch.add(Item::Int(item), 1);
            sketch.add(Item::Int(-1), 1);
        }
        assert!(sketch.active <= 6, "{sketch:?}");
        assert_eq!(sketch.weight, 2000);
        let first = listed(&sketch)[0];
        assert_eq!(first.0, -1);
        assert!((1000..=1000 + sketch.offset).contains(&first.1), "{first:?}");
    }

    #[test]
    fn binary_has_the_preamble_of_datasketches_and_round_trips() {
        let sketch = counted(&[7, 7, 9]);
        let bytes = sketch.to_bytes(Kind::Int);
        assert_eq!(bytes[..8], [4, 1, 10, 14, 3, 0, 0, 0]);
        assert_eq!(bytes.len(), 32 + 2 * 8 + 2 * 5);
        let read = FrequentItems::from_bytes(&bytes, Kind::Int).expect("sketch");
        assert_eq!(listed(&read), [(7, 2), (9, 1)]);
        assert_eq!(read.to_bytes(Kind::Int), bytes);
        let none = counted(&[]).to_bytes(Kind::Int);
        assert_eq!(none, [1, 1, 10, 14, 3, 5, 0, 0]);
        assert!(
            FrequentItems::from_bytes(&none, Kind::Int)
                .expect("sketch")
                .active
                == 0
        );
    }

    #[test]
    fn garbled_binaries_are_refused_or_read_and_never_panic() {
        let bytes = counted(&[1, 2, 3, 4, 5, 6, 7, 8, 9]).to_bytes(Kind::Int);
        garbled(&bytes, |bytes| {
            for kind in [Kind::Int, Kind::Text, Kind::Boolean] {
                if let Some(read) = FrequentItems::from_bytes(bytes, kind) {
                    let mut sketch = counted(&[1]);
                    sketch.merge(&read);
                    sketch.most_frequent();
                }
            }
        });
        assert!(FrequentItems::from_bytes(&bytes[..bytes.len() - 1], Kind::Int).is_none());
    }
}
