"""Generated meshes against reference meshes: what evaluate.py does, one subject a module.

options    what a user can ask
pairs      which generated mesh belongs to which reference
surface    points, normals and sharp edges of a mesh, in its reference's frame
distances  two surfaces to figures
edges      the edges of a mesh, and how many faces meet at each
intersect  faces that cut through others
topology   one mesh to figures
nearest    the nearest training mesh
training   which training meshes there are
measure    a reference and its samples to figures, beside the baselines
statistics intervals by bootstrap
sets       coverage, MMD and 1-NNA of two sets
summary    all figures to one object
table      that object on the console; pictures and page: to look at
run        the command
"""
