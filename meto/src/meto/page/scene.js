// Drawing: the faces, the path over them and where sub-meshes start, with WebGL 2.

const FILL_VERTEX = `#version 300 es
in vec3 position;
in vec4 tint;
uniform mat4 camera;
uniform float shown;      // faces shown, the last one perhaps in part
uniform vec3 growFrom;    // where the tip of the face that is growing comes from
out vec3 world, corner, colour;
flat out float age;
void main() {
  float face = float(gl_VertexID / 3);
  age = shown - face;
  world = position;
  if (gl_VertexID % 3 == 0 && age > 0.0 && age < 1.0) world = mix(growFrom, position, age);
  corner = vec3(gl_VertexID % 3 == 0, gl_VertexID % 3 == 1, gl_VertexID % 3 == 2);
  colour = tint.rgb;
  gl_Position = camera * vec4(world, 1.0);
}`;

const FILL_FRAGMENT = `#version 300 es
precision highp float;
in vec3 world, corner, colour;
flat in float age;
uniform vec3 eye, todoColour, edgeColour;
uniform float edgeStrength;
out vec4 pixel;
void main() {
  bool todo = age <= 0.0;
  vec3 normal = normalize(cross(dFdx(world), dFdy(world)));
  vec3 view = normalize(eye - world);
  if (dot(normal, view) < 0.0) normal = -normal;
  float key = max(dot(normal, normalize(vec3(0.45, 0.8, 0.5))), 0.0);
  float light = 0.52 + 0.3 * key + 0.24 * max(dot(normal, view), 0.0);
  vec3 base = todo ? todoColour : colour;
  vec3 lit = base * light;
  if (!todo) {
    if (!gl_FrontFacing) lit *= 0.72;
    lit = mix(lit, vec3(1.0), 0.75 * exp(-max(age - 1.0, 0.0) / 2.5));
  }
  vec3 width = fwidth(corner) * 1.1;
  vec3 inside = smoothstep(vec3(0.0), width, corner);
  float edge = 1.0 - min(min(inside.x, inside.y), inside.z);
  pixel = vec4(mix(lit, edgeColour, edge * edgeStrength * (todo ? 0.6 : 1.0)), 1.0);
}`;

// Lines of any width: every instance is a quad from a to b.
const LINE_VERTEX = `#version 300 es
in vec3 a, b;
in vec4 tint;
in float width;
uniform mat4 camera;
uniform vec3 eye;
uniform vec2 viewport;
out vec4 colour;
void main() {
  vec4 from = camera * vec4(mix(a, eye, 0.004), 1.0), to = camera * vec4(mix(b, eye, 0.004), 1.0);
  vec2 along = (to.xy / to.w - from.xy / from.w) * viewport;
  vec2 across = normalize(vec2(-along.y, along.x) + 1e-9);
  vec4 p = gl_VertexID < 2 ? from : to;
  p.xy += across * (gl_VertexID % 2 == 0 ? 1.0 : -1.0) * width / viewport * p.w;
  colour = tint;
  gl_Position = p;
}`;

const DOT_VERTEX = `#version 300 es
in vec3 position;
uniform mat4 camera;
uniform vec3 eye;
uniform float size;
void main() {
  gl_Position = camera * vec4(mix(position, eye, 0.03), 1.0);
  gl_PointSize = size;
}`;

const DOT_FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 colour;
out vec4 pixel;
void main() {
  float r = length(gl_PointCoord - 0.5) * 2.0, soft = fwidth(r);
  float disc = 1.0 - smoothstep(1.0 - soft, 1.0, r), core = 1.0 - smoothstep(0.62 - soft, 0.62, r);
  pixel = vec4(mix(vec3(1.0), colour, core) * disc, disc);
}`;

const FLAT_FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour;
out vec4 pixel;
void main() { pixel = vec4(colour.rgb * colour.a, colour.a); }`;

// ---- vectors and matrices (column-major) ----

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => { const n = Math.hypot(...a) || 1; return a.map((x) => x / n); };

function multiply(a, b) {
  const out = new Float32Array(16);
  for (let c = 0; c < 4; c++)
    for (let r = 0; r < 4; r++)
      for (let k = 0; k < 4; k++) out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
  return out;
}

// Turns about a target. At zoom 1 the upright cylinder (girth, half its height) around the mesh fits into the part of
// the window that no card covers, and the target is in that part's middle.
const FIELD = 0.55, MARGIN = 1.06;

class Camera {
  constructor(target, girth, height) {
    this.home = { yaw: 0.6, pitch: 0.42, zoom: 1, target };
    Object.assign(this, { girth, height, radius: Math.hypot(girth, height) });
    this.reset();
  }
  fitDistance(width, height, free) {
    const { pitch } = this.home, pixels = height / 2 / Math.tan(FIELD / 2);
    const tall = this.height * Math.cos(pitch) + this.girth * Math.sin(pitch);
    const across = (this.girth / (free.width / 2)) * pixels, up = (tall / (free.height / 2)) * pixels;
    return MARGIN * (Math.max(across, up) + 0.7 * this.girth);
  }
  reset() { Object.assign(this, this.home, { target: [...this.home.target] }); }
  get axes() {
    const { yaw, pitch } = this;
    const back = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
    const right = [Math.cos(yaw), 0, -Math.sin(yaw)];
    return { back, right, up: cross(back, right) };
  }
  turn(dx, dy) {
    this.yaw -= dx * 0.008;
    this.pitch = Math.max(-1.55, Math.min(1.55, this.pitch + dy * 0.008));
  }
  move(dx, dy, height) {
    const { right, up } = this.axes, scale = (2 * this.distance * Math.tan(FIELD / 2)) / height;
    this.target = this.target.map((x, i) => x - (right[i] * dx - up[i] * dy) * scale);
  }
  zoomBy(factor) { this.zoom = Math.max(0.1, Math.min(60, this.zoom * factor)); }
  // free: the part of the window, in pixels, that no card covers.
  matrix(width, height, free) {
    this.distance = this.fitDistance(width, height, free) / this.zoom;
    const { back, right, up } = this.axes;
    this.eye = this.target.map((x, i) => x + back[i] * this.distance);
    const near = Math.max(this.distance - 2 * this.radius, this.distance / 50), far = this.distance + 3 * this.radius;
    const f = 1 / Math.tan(FIELD / 2);
    const shiftX = ((2 * free.x + free.width) - width) / width, shiftY = (height - (2 * free.y + free.height)) / height;
    const projection = new Float32Array([
      (f * height) / width, 0, 0, 0, 0, f, 0, 0,
      -shiftX, -shiftY, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0]);
    const view = new Float32Array([
      right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0,
      -dot(right, this.eye), -dot(up, this.eye), -dot(back, this.eye), 1]);
    return multiply(projection, view);
  }
}
class Scene {
  // corners: Float32Array of 9 a face (tip, start, end); starts: indices of the faces that begin a sub-mesh;
  // broken: Uint8Array, is the face not next to the one before it?
  constructor(canvas, corners, starts, broken) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: true });
    if (!gl) throw new Error("This browser offers no WebGL 2.");
    Object.assign(this, { canvas, gl, corners, starts, broken, numFaces: corners.length / 9 });
    this.fill = this.program(FILL_VERTEX, FILL_FRAGMENT);
    this.line = this.program(LINE_VERTEX, FLAT_FRAGMENT);
    this.dot = this.program(DOT_VERTEX, DOT_FRAGMENT);
    this.tints = gl.createBuffer();
    this.lines = gl.createBuffer();
    this.fillArray = this.vertexArray(this.fill, [
      { name: "position", buffer: this.upload(gl.createBuffer(), corners), size: 3 },
      { name: "tint", buffer: this.upload(this.tints, new Uint8Array(this.numFaces * 12)), size: 4, type: gl.UNSIGNED_BYTE }]);
    const stride = 44;
    this.lineArray = this.vertexArray(this.line, [
      { name: "a", buffer: this.lines, size: 3, stride, offset: 0, perInstance: true },
      { name: "b", buffer: this.lines, size: 3, stride, offset: 12, perInstance: true },
      { name: "tint", buffer: this.lines, size: 4, stride, offset: 24, perInstance: true },
      { name: "width", buffer: this.lines, size: 1, stride, offset: 40, perInstance: true }]);
    const dots = new Float32Array(starts.length * 3);
    starts.forEach((face, i) => dots.set(this.centre(face), 3 * i));
    this.dotArray = this.vertexArray(this.dot, [{ name: "position", buffer: this.upload(gl.createBuffer(), dots), size: 3 }]);
    this.camera = this.fitCamera();
  }

  program(vertex, fragment) {
    const { gl } = this, program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    return program;
  }

  upload(buffer, array) {
    const { gl } = this;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, array, gl.DYNAMIC_DRAW);
    return buffer;
  }

  vertexArray(program, attributes) {
    const { gl } = this, array = gl.createVertexArray();
    gl.bindVertexArray(array);
    for (const { name, buffer, size, type = gl.FLOAT, stride = 0, offset = 0, perInstance } of attributes) {
      const place = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, size, type, type === gl.UNSIGNED_BYTE, stride, offset);
      if (perInstance) gl.vertexAttribDivisor(place, 1);
    }
    gl.bindVertexArray(null);
    return array;
  }

  corner(face, j) { const i = 9 * face + 3 * j; return [this.corners[i], this.corners[i + 1], this.corners[i + 2]]; }

  centre(face) {
    const [a, b, c] = [0, 1, 2].map((j) => this.corner(face, j));
    return a.map((x, i) => (x + b[i] + c[i]) / 3);
  }

  fitCamera() {
    const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity], points = this.corners;
    for (let i = 0; i < points.length; i++) {
      low[i % 3] = Math.min(low[i % 3], points[i]);
      high[i % 3] = Math.max(high[i % 3], points[i]);
    }
    const middle = low.map((x, i) => (x + high[i]) / 2);
    let girth = 1e-6;
    for (let i = 0; i < points.length; i += 3)
      girth = Math.max(girth, Math.hypot(points[i] - middle[0], points[i + 2] - middle[2]));
    return new Camera(middle, girth, (high[1] - low[1]) / 2);
  }

  // colours: [r, g, b] (0 to 255) of every face
  paint(colourOf) {
    const tints = new Uint8Array(this.numFaces * 12);
    for (let face = 0; face < this.numFaces; face++) {
      const [r, g, b] = colourOf(face);
      for (let j = 0; j < 3; j++) tints.set([r, g, b, 255], 12 * face + 4 * j);
    }
    this.upload(this.tints, tints);
  }

  // The edge that the newest face was entered across, and the way through the faces before it.
  trail(shown, style) {
    const now = Math.ceil(shown) - 1, ratio = style.ratio, segments = [];
    for (let face = Math.max(1, now - 40); face <= now && style.path; face++)
      if (!this.broken[face]) {
        const alpha = 0.9 * (1 - (now - face) / 42) ** 1.5;
        segments.push([...this.centre(face - 1), ...this.centre(face), ...style.pathColour, alpha, 2.6 * ratio]);
      }
    if (now > 0 && shown < this.numFaces && style.path && !this.starts.includes(now))
      segments.push([...this.corner(now, 1), ...this.corner(now, 2), ...style.gateColour, 1, 4.5 * ratio]);
    return new Float32Array(segments.flat());
  }

  uniforms(program, values) {
    const { gl } = this;
    gl.useProgram(program);
    for (const [name, value] of Object.entries(values)) {
      const place = gl.getUniformLocation(program, name);
      if (value.length === 16) gl.uniformMatrix4fv(place, false, value);
      else if (value.length === 3) gl.uniform3fv(place, value);
      else if (value.length === 2) gl.uniform2fv(place, value);
      else gl.uniform1f(place, value);
    }
  }

  // shown: number of faces, with the part of the one that is growing; free: see Camera; style: colours and switches.
  draw(shown, free, style) {
    const { gl, canvas } = this;
    const width = Math.round(canvas.clientWidth * style.ratio), height = Math.round(canvas.clientHeight * style.ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const camera = this.camera.matrix(canvas.clientWidth, canvas.clientHeight, free);
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.disable(gl.BLEND);
    gl.enable(gl.POLYGON_OFFSET_FILL);
    gl.polygonOffset(1, 1);

    const growing = Math.min(Math.floor(shown), this.numFaces - 1);
    const growFrom = this.corner(growing, 1).map((x, i) => (x + this.corner(growing, 2)[i]) / 2);
    const dense = Math.min(1, 26 / Math.sqrt(this.numFaces));  // on dense meshes edges would hide the colours
    this.uniforms(this.fill, {
      camera, shown, growFrom, eye: this.camera.eye, todoColour: style.todoColour, edgeColour: style.edgeColour,
      edgeStrength: 0.25 + 0.55 * dense });
    gl.bindVertexArray(this.fillArray);
    gl.drawArrays(gl.TRIANGLES, 0, 3 * (style.todo ? this.numFaces : Math.ceil(shown)));

    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const trail = this.trail(shown, style);
    this.upload(this.lines, trail);
    this.uniforms(this.line, { camera, eye: this.camera.eye, viewport: [width, height] });
    gl.bindVertexArray(this.lineArray);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, trail.length / 11);

    if (style.starts) {
      const count = this.starts.filter((face) => face < shown).length;
      this.uniforms(this.dot, { camera, eye: this.camera.eye, size: 13 * style.ratio, colour: style.startColour });
      gl.bindVertexArray(this.dotArray);
      gl.drawArrays(gl.POINTS, 0, count);
    }
    gl.bindVertexArray(null);
  }
}
