"""From files (or nothing) to batches: meshes, augmentation, data sets, procedural shapes and pictures of them."""
