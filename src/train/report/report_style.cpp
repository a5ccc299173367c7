#include <maskgrad/train/report/report_sections.hpp>

namespace maskgrad {

std::string_view report_style() {
  return R"css(:root{--page:#f6f7f9;--mark:rgba(255,196,0,.22);--edge:#dfe3e8;--shade:rgba(20,28,38,.42)}
@media screen and (prefers-color-scheme:dark){
:root{--page:#101318;--mark:rgba(255,196,0,.2);--edge:#2b323b;--shade:rgba(210,222,236,.5)}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,main{max-width:1240px;margin:0 auto;padding:0 clamp(14px,3vw,36px)}
header{padding-top:clamp(24px,5vw,56px)}
h1{font-size:clamp(1.6rem,4vw,2.4rem);line-height:1.15;letter-spacing:-.02em;margin:0 0 .3em;
overflow-wrap:anywhere}
h2{font-size:1.3rem;letter-spacing:-.01em;margin:2.2em 0 .7em;overflow-wrap:anywhere}
h3{font-size:1rem;margin:1.6em 0 .6em}
p{margin:.6em 0;max-width:75ch}
.conclusions{margin:0 0 1.2em;padding-left:1.2em;max-width:80ch}
.conclusions li{margin:.35em 0;overflow-wrap:anywhere}
.card>:last-child,details>:last-child{margin-bottom:0}
.lead,.note{color:var(--soft)}.note{font-size:.92rem;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:.3em 1.2em;font-size:.92rem}
a{color:var(--c0);text-underline-offset:.2em}
.card,details{background:var(--surface);border:1px solid var(--edge);border-radius:10px;
padding:clamp(12px,2vw,22px);min-width:0}
.pair{display:grid;gap:18px;align-items:start;
grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr))}
.pair .plot{max-width:760px;margin:0 auto}
.grid-of-masks{display:flex;flex-wrap:wrap;gap:14px;align-items:flex-start}
.grid-of-masks .card{padding:12px;max-width:100%}
.grid-of-plots{display:grid;gap:14px 22px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,250px),1fr))}
.scroll{overflow-x:auto;background:
linear-gradient(90deg,var(--surface) 40%,transparent) 0 0/40px 100% no-repeat local,
linear-gradient(270deg,var(--surface) 40%,transparent) 100% 0/40px 100% no-repeat local,
linear-gradient(90deg,var(--shade),transparent) 0 0/20px 100% no-repeat scroll,
linear-gradient(270deg,var(--shade),transparent) 100% 0/20px 100% no-repeat scroll}
.scroll:focus-visible{outline:2px solid var(--c0);outline-offset:2px}
table{border-collapse:collapse;font-size:.9rem;line-height:1.35;min-width:min(100%,44em)}
th,td{padding:.42em .7em;text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;
border-bottom:1px solid var(--grid)}
th:first-child{text-align:left;padding-left:.2em;position:sticky;left:0;background:var(--surface);
box-shadow:1px 0 0 var(--grid)}
tbody th{white-space:normal;min-width:4.4em}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}
thead th:not(:first-child){min-width:4.4em;max-width:16em;white-space:normal;overflow-wrap:break-word}
tbody th{font-weight:500}
tbody tr:last-child>*{border-bottom:0}
th.ruled,td.ruled{border-left:1px solid var(--edge)}
tr.total>*{border-top:2px solid var(--edge);color:var(--soft)}
.run::before{content:"\25cf\00a0";color:var(--series)}
.settings td,.settings th{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:6em}
.settings th:first-child{white-space:nowrap}
.examples td{text-align:left}.examples th:not(:first-child){text-align:left}
.examples tbody th{white-space:nowrap}.right{font-weight:600}
.kept{overflow-x:auto}.kept p{margin:.15em 0;max-width:none;white-space:nowrap}
.token{font-family:ui-monospace,Menlo,Consolas,monospace;padding:.1em .12em;border-radius:3px}
.kept span.token{background:var(--mark)}.token.needed{border-bottom:2px solid var(--c0)}
s.token{color:var(--soft);text-decoration-thickness:1px}.token.junk{color:var(--soft)}
tr.differs>*{background:var(--mark);font-weight:600}
tr.differs>th:first-child{background:linear-gradient(var(--mark),var(--mark)),var(--surface)}
tr.differs>th:first-child::before{content:"\2260\00a0"}
details{margin:0 0 14px}
summary{cursor:pointer;font-weight:600;overflow-wrap:anywhere}
summary span{color:var(--soft);font-weight:400}
footer{height:48px}
@media print{body{background:none;font-size:11pt}.card,details{border-color:#ccc;padding:10px}
.card,svg,tr{break-inside:avoid}h2,h3{break-after:avoid}nav{display:none}
details::details-content{content-visibility:visible;height:auto}}
)css";
}

}  // namespace maskgrad
