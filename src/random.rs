//! Bytes that nobody can guess, for keys, tokens and names.

use crate::error::Error;
use crate::error::Result;

pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
    Ok(bytes)
}
