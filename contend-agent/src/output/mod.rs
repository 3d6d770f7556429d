//! What a person or a tool gets: files, the summary, progress.
