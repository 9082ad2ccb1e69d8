// Draws waveform and spectrogram of the recording on the page. The player works without it.
"use strict";

const LONGEST_BYTES = 60e6;
const FRAME = 1024;

for (const box of document.querySelectorAll("[data-sound]")) {
  const audio = box.querySelector("audio");
  const said = box.querySelector("[data-said]");
  draw(box, audio, said).catch(() => { said.textContent = "This browser cannot draw the recording."; });
}

async function draw(box, audio, said) {
  const head = await fetch(audio.src, { method: "HEAD" });
  if (Number(head.headers.get("content-length")) > LONGEST_BYTES) {
    said.textContent = "The recording is too long to be drawn here.";
    return;
  }
  said.textContent = "Drawing…";
  const bytes = await (await fetch(audio.src)).arrayBuffer();
  const sound = await new OfflineAudioContext(1, 1, Math.min(192000, Math.max(8000, Number(box.dataset.rate) || 44100))).decodeAudioData(bytes);
  const samples = sound.getChannelData(0);
  box.querySelector("[data-pictures]").hidden = false;
  const colours = getComputedStyle(document.documentElement);
  drawWaveform(box.querySelector("[data-waveform]"), samples, colours);
  drawSpectrogram(box.querySelector("[data-spectrogram]"), samples);
  said.textContent = `${sound.duration.toFixed(2)} s, ${sound.numberOfChannels === 1 ? "mono" : `${sound.numberOfChannels} channels`}. ` +
    "Above the waveform of the first channel, below its spectrogram from 0 Hz to half the sampling rate. Press a place to play from there.";
  for (const canvas of box.querySelectorAll("canvas")) {
    canvas.addEventListener("click", (event) => {
      audio.currentTime = (event.offsetX / canvas.clientWidth) * sound.duration;
      audio.play();
    });
  }
}

function sized(canvas) {
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
  return canvas.getContext("2d");
}

function drawWaveform(canvas, samples, colours) {
  const pen = sized(canvas);
  const { width, height } = canvas;
  pen.fillStyle = colours.getPropertyValue("--accent");
  for (let x = 0; x < width; x++) {
    const end = Math.max(Math.floor(((x + 1) * samples.length) / width), Math.floor((x * samples.length) / width) + 1);
    let low = 1, high = -1;
    for (let i = Math.floor((x * samples.length) / width); i < end && i < samples.length; i++) {
      if (samples[i] < low) low = samples[i];
      if (samples[i] > high) high = samples[i];
    }
    if (high < low) continue;
    const top = ((1 - Math.min(high, 1)) / 2) * height;
    pen.fillRect(x, top, 1, Math.max(1, ((Math.min(high, 1) - Math.max(low, -1)) / 2) * height));
  }
}

function drawSpectrogram(canvas, samples) {
  const pen = sized(canvas);
  const { width, height } = canvas;
  const picture = pen.createImageData(width, height);
  const window = Float32Array.from({ length: FRAME }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FRAME));
  const real = new Float32Array(FRAME), imaginary = new Float32Array(FRAME);
  for (let x = 0; x < width; x++) {
    const start = Math.floor((x / width) * Math.max(0, samples.length - FRAME));
    for (let i = 0; i < FRAME; i++) {
      real[i] = (samples[start + i] || 0) * window[i];
      imaginary[i] = 0;
    }
    transform(real, imaginary);
    for (let y = 0; y < height; y++) {
      const bin = Math.floor(((height - 1 - y) / height) * (FRAME / 2));
      const level = 20 * Math.log10(Math.hypot(real[bin], imaginary[bin]) / (FRAME / 4) + 1e-6);
      paint(picture.data, (y * width + x) * 4, Math.min(1, Math.max(0, (level + 90) / 90)));
    }
  }
  pen.putImageData(picture, 0, 0);
}

// From black over wine and orange to white: brightness alone tells the level.
function paint(data, at, level) {
  data[at] = 255 * Math.min(1, level * 1.6);
  data[at + 1] = 255 * Math.max(0, Math.min(1, level * 1.8 - 0.7));
  data[at + 2] = 255 * (level < 0.5 ? level * 0.7 : Math.max(0.35 - (level - 0.5), level * 2.6 - 1.6));
  data[at + 3] = 255;
}

// The fast Fourier transform of Cooley and Tukey, in place.
function transform(real, imaginary) {
  const n = real.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const angle = (-2 * Math.PI) / size, half = size / 2;
    for (let k = 0; k < half; k++) {
      const c = Math.cos(angle * k), s = Math.sin(angle * k);
      for (let i = k; i < n; i += size) {
        const j = i + half;
        const r = real[j] * c - imaginary[j] * s, m = real[j] * s + imaginary[j] * c;
        real[j] = real[i] - r; imaginary[j] = imaginary[i] - m;
        real[i] += r; imaginary[i] += m;
      }
    }
  }
}
