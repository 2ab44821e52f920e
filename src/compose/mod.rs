//! Compose: text → tree → interpolate → merge → normalize → `Project` → validate. Pure.
