//! A small map: pairs in the order of their keys.
//!
//! std's maps are made for more than is kept here: every type of a `BTreeMap`
//! costs 4 kB of machine code, of a `HashMap` 1.5 kB. Here the pairs that come all
//! at once, or with ascending keys, cost no more than there; one that is inserted
//! elsewhere moves all behind it.

use std::borrow::Borrow;

/// A value for each key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table<K, V>(Vec<(K, V)>);

impl<K: Ord, V> Table<K, V> {
    /// The value of this key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let index = self.find(key).ok()?;
        self.0.get(index).map(|(_, value)| value)
    }

    /// Puts it in and returns what was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(index) => self.0.get_mut(index).map(|(_, old)| std::mem::replace(old, value)),
            Err(index) => {
                self.0.insert(index, (key, value));
                None
            }
        }
    }

    /// All pairs, in the order of their keys.
    pub fn iter(&self) -> std::slice::Iter<'_, (K, V)> {
        self.0.iter()
    }

    /// Where it is or belongs.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Of pairs with the same key, one stays.
impl<K: Ord, V> FromIterator<(K, V)> for Table<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        pairs.dedup_by(|(a, _), (b, _)| a == b);
        Self(pairs)
    }
}

impl<'a, K: Ord, V> IntoIterator for &'a Table<K, V> {
    type Item = &'a (K, V);
    type IntoIter = std::slice::Iter<'a, (K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_was_put_in() {
        let mut table = Table::default();
        for key in ["b", "d", "a", "c"] {
            assert_eq!(table.insert(key.to_owned(), 1), None);
        }
        assert_eq!(table.insert("a".to_owned(), 2), Some(1));
        assert_eq!((table.get("a"), table.get("d"), table.get("e")), (Some(&2), Some(&1), None));
        assert_eq!(table.iter().map(|(key, _)| key.as_str()).collect::<String>(), "abcd");
    }

    #[test]
    fn pairs_that_come_at_once_are_sorted_and_each_key_is_there_once() {
        let table: Table<u8, bool> = [(3, true), (1, true), (3, true), (2, false)].into_iter().collect();
        assert_eq!(table.iter().copied().collect::<Vec<_>>(), [(1, true), (2, false), (3, true)]);
    }
}
