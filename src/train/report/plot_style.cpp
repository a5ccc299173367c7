#include <maskgrad/train/report/svg_plot.hpp>

namespace maskgrad {

// Colours after Okabe and Ito, "Color Universal Design" (2008); lighter ones on a dark ground.
std::string_view plot_style() {
  return R"css(:root{--ink:#1c2127;--soft:#5b6572;--grid:#e4e7eb;--surface:#fff;
--c0:#0072b2;--c1:#d55e00;--c2:#00805c;--c3:#b0508c;--c4:#a87400;--c5:#3d95c9}
@media screen and (prefers-color-scheme:dark){
:root{--ink:#e9ecef;--soft:#a0aab6;--grid:#2d343d;--surface:#181c22;
--c0:#4fa8e0;--c1:#ff8b4a;--c2:#2fc797;--c3:#e191c2;--c4:#e9b949;--c5:#9bd3f5}}
.s0{--series:var(--c0)}.s1{--series:var(--c1)}.s2{--series:var(--c2)}
.s3{--series:var(--c3)}.s4{--series:var(--c4)}.s5{--series:var(--c5)}
.ref{--series:var(--soft)}
.plot{display:block;width:100%;height:auto}
.plot text{font-size:13px;fill:var(--ink)}
.plot .name{font-weight:600;font-size:15px}
.plot .tick,.plot .label{fill:var(--soft);font-variant-numeric:tabular-nums}
.plot .mid{text-anchor:middle}.plot .end{text-anchor:end}
.plot .grid{stroke:var(--grid);fill:none}
.plot .axis{stroke:var(--soft);fill:none}
.plot .line{stroke:var(--series);fill:none;stroke-linejoin:round;stroke-linecap:round}
.plot .dot{fill:var(--series);stroke:var(--surface);stroke-width:.8}
.plot .band .line{stroke-opacity:.35;stroke-linecap:butt}
.plot .band .dot{fill:var(--surface);stroke:var(--series);stroke-width:1.8}
.plot .area{fill:var(--soft);fill-opacity:.16}
.plot .ref .line{stroke-dasharray:7 5;stroke-linecap:butt}
.plot .r1 .line{stroke-dasharray:2 4}.plot .r2 .line{stroke-dasharray:10 4 2 4}
.plot .ref .dot{fill:var(--surface);stroke:var(--series);stroke-width:1.4}
.ridges text{font-size:11px}.ridges .name{font-size:13px}
.ridges .ridge{fill:color-mix(in srgb,var(--series) var(--t),var(--surface));
stroke:var(--surface);stroke-width:.9}
.ridges .ridge:hover{stroke:var(--ink)}
.mask .all{fill:var(--grid)}.mask .kept{fill:var(--series)}
.mask .tick,.mask .label{font-size:11px}
@supports not (color:color-mix(in srgb,red,blue)){.ridges .ridge{fill:var(--series)}}
@media (max-width:560px){.plot:not(.ridges,.mask) text{font-size:17px}
.plot:not(.ridges,.mask) .name{font-size:19px}}
)css";
}

}  // namespace maskgrad
