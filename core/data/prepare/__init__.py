"""From a pile of raw 3D files to a training set: what prepare.py does, one subject a module.

inputs     what there is to read: folders, archives, URLs, lists, objaverse, procedural shapes
reading    one file to one mesh, with its colours
rules      which meshes are kept, and why the others are not
signature  near-duplicates
worker     all of that for one input: a function from an input to its outcome
pool       that function in processes that may crash, hang or run out of memory; cluster: on Ray
store      outcomes to Parquet shards, and where an interrupted run goes on
report     a page to look at
run        the command
"""
