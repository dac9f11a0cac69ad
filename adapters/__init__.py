"""One package per coupled simulator; they never import each other."""
