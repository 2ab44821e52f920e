//! Mistakes in what stands under `x-devenv`.

/// Something that is not as it has to be: its key and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands, such as `x-devenv.gateway.idle`.
    pub path: String,
    /// What is wrong, as a sentence.
    pub why: String,
}
