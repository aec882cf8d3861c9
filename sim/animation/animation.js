"use strict";
for (const player of document.querySelectorAll(".player")) {
  const frames = [...player.querySelectorAll(".frame")];
  const slider = player.querySelector("input");
  const play = player.querySelector(".play");
  const label = player.querySelector("output");
  let at = 0;
  let timer = null;
  const show = (place) => {
    at = (place + frames.length) % frames.length;
    frames.forEach((frame, number) => { frame.style.display = number === at ? "" : "none"; });
    slider.value = at;
    label.value = `cycle ${frames[at].dataset.cycle}`;
  };
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "play"; };
  const start = () => { timer = setInterval(() => show(at + 1), 900); play.textContent = "pause"; };
  slider.max = frames.length - 1;
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  play.addEventListener("click", () => (timer === null ? start() : stop()));
  player.querySelector(".back").addEventListener("click", () => { stop(); show(at - 1); });
  player.querySelector(".on").addEventListener("click", () => { stop(); show(at + 1); });
  show(0);
}
