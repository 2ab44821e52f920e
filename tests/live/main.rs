//! Tests against real servers in containers. They need an engine and the images that `make up` builds; where
//! these are missing they fail, and say so.

mod postgres;
