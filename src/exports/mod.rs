//! Batches of rows in, the bytes of a file out. Knows neither HTTP nor the object store.
