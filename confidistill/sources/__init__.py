"""Where bytes come from: a package index, a path, a URL or a hub; each pinned, and checked before use."""
