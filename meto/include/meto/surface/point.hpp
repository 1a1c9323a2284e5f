// Points and vectors in space.
#pragma once

namespace meto {

struct Point {
    float x, y, z;

    bool is_zero() const { return x == 0 && y == 0 && z == 0; }
};

inline Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Point operator*(float s, Point a) { return {s * a.x, s * a.y, s * a.z}; }
inline float dot(Point a, Point b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

}  // namespace meto
