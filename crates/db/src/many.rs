//! Statements over many rows at once: a statement costs a way to the database and back, whatever it changes.
//!
//! Their text depends on how many rows they have, and each text is prepared once: so there are few sizes.

/// How many rows one statement takes, the most first. The most that any of ours has for a row is some twenty values, and SQLite
/// takes 32,766 in one statement.
const SIZES: [usize; 5] = [256, 64, 16, 4, 1];

/// Cuts items into pieces for one statement each.
pub(crate) fn pieces<T>(mut items: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= items.len())?;
        let (piece, rest) = items.split_at(size);
        items = rest;
        Some(piece)
    })
}

/// Returns the places of the values of so many rows, as they stand after `VALUES`: `($3, $4), ($5, $6)` for two rows of two
/// columns after two values that are for all.
pub(crate) fn rows(count: usize, columns: usize, after: usize) -> String {
    let row = |row: usize| {
        let places = (0..columns).map(|column| format!("${}", after + row * columns + column + 1));
        format!("({})", places.collect::<Vec<_>>().join(", "))
    };
    (0..count).map(row).collect::<Vec<_>>().join(", ")
}

/// Returns the places of so many values, as they stand in `IN (…)`.
pub(crate) fn list(count: usize, after: usize) -> String {
    (0..count).map(|at| format!("${}", after + at + 1)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_of_few_sizes_and_leave_nothing_out() {
        let items: Vec<usize> = (0..700).collect();

        let cut: Vec<&[usize]> = pieces(&items).collect();

        let sizes: Vec<usize> = cut.iter().map(|piece| piece.len()).collect();
        assert_eq!(sizes, [256, 256, 64, 64, 16, 16, 16, 4, 4, 4]);
        assert_eq!(cut.concat(), items);
        assert_eq!(pieces::<u8>(&[]).count(), 0);
    }

    #[test]
    fn places_are_counted_on() {
        assert_eq!(rows(2, 2, 2), "($3, $4), ($5, $6)");
        assert_eq!(list(3, 0), "$1, $2, $3");
    }
}
