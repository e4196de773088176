//! Long rows of numbers as bytes, four for each: they are read and written in one go.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes rows of `N` numbers, for `serialize_with`.
pub(super) fn serialize<S: Serializer, const N: usize>(
    rows: &[[u32; N]],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut bytes = vec![0; size_of_val(rows)];
    for (place, number) in bytes.as_chunks_mut().0.iter_mut().zip(rows.as_flattened()) {
        *place = number.to_le_bytes();
    }
    serializer.serialize_bytes(&bytes)
}

/// Reads what [`serialize`] wrote; what is left over at the end is dropped.
pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<Vec<[u32; N]>, D::Error> {
    let bytes = <&[u8]>::deserialize(deserializer)?;
    let numbers: Vec<u32> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|four| u32::from_le_bytes(*four))
        .collect();
    Ok(numbers.as_chunks().0.to_vec())
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Rows(#[serde(with = "super")] Vec<[u32; 3]>);

    #[test]
    fn rows_come_back_as_they_were() {
        for rows in [vec![], vec![[1, 2, 3], [u32::MAX, 0, 1 << 20]]] {
            let rows = Rows(rows);
            let bytes = postcard::to_stdvec(&rows).unwrap();
            assert_eq!(postcard::from_bytes::<Rows>(&bytes).unwrap(), rows);
        }
    }
}
