//! The faults of a gateway at loopback, a row for each class.

mod answers;
mod http;
mod xml;

use crate::faults::run::Row;

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    [http::rows(), xml::rows(), answers::rows()].into_iter().flatten().collect()
}
