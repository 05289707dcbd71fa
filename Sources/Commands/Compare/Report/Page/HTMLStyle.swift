// SPDX-License-Identifier: Apache-2.0

/// The style of the page: light or dark by the reader's system, for screens of any width.
enum HTMLStyle {
    static let text = """
        :root {
          --paper: #fbfaf7; --card: #ffffff; --ink: #1d2326; --soft: #5c666b; --line: #dcdfdc;
          --process: #64748b; --container: #0f8a78; --machine: #c2571a; --restored: #8c6bb1; --warn: #fff3d6; --warn-ink: #5f4300;
          --good: #dcf1e4; --good-ink: #14532d; --bad: #fbe0da; --bad-ink: #7f1d1d;
          --s0: #c2571a; --s1: #8c6bb1; --s2: #3f7fb5; --s3: #b8860b; --s4: #0f8a78; --s5: #64748b;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --paper: #14181a; --card: #1c2225; --ink: #e8ecea; --soft: #a3adb0; --line: #333b3f;
            --process: #94a3b8; --container: #35bda7; --machine: #f08a4b; --restored: #b49ad6; --warn: #3a2f12; --warn-ink: #fbe2a3;
            --good: #17392a; --good-ink: #b5ecca; --bad: #4a1f1b; --bad-ink: #ffd0c7;
            --s0: #f08a4b; --s1: #b49ad6; --s2: #6fb0e6; --s3: #e0b84a; --s4: #35bda7; --s5: #94a3b8;
          }
        }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
        main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
        h1 { font-size: 1.9rem; line-height: 1.15; margin: 0.5rem 0; text-wrap: balance; }
        h2 { font-size: 1.25rem; margin: 0 0 0.5rem; }
        p { margin: 0.4rem 0 0.8rem; max-width: 46rem; }
        section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.25rem;
          margin: 1.1rem 0; }
        .facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 0.5rem 1.5rem; margin: 1rem 0; }
        dt { color: var(--soft); font-size: 0.8rem; } dd { margin: 0; overflow-wrap: anywhere; }
        .warning { background: var(--warn); color: var(--warn-ink); border-radius: 8px; padding: 0.8rem 1rem; max-width: none; }
        ul { margin: 0.3rem 0; padding-left: 1.2rem; } li { margin: 0.25rem 0; max-width: 48rem; }
        ul.key, ul.notes { padding: 0; list-style: none; font-size: 0.9rem; } ul.notes { color: var(--soft); margin-top: 0.8rem; }
        figure { margin: 1rem 0 1.4rem; } figcaption { font-weight: 600; margin-bottom: 0.4rem; }
        .hint { color: var(--soft); font-weight: 400; font-size: 0.85rem; }
        svg.chart { display: block; width: 100%; overflow: visible; } svg.key { vertical-align: -1px; }
        svg text { fill: var(--ink); font-size: 14px; } svg text.tick { fill: var(--soft); font-size: 11px; }
        svg text.value, .number { font-variant-numeric: tabular-nums; white-space: nowrap; }
        svg text.value, svg text.tick { paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
        svg text.inside { fill: #fff; font-weight: 600; paint-order: stroke; stroke: #0009; stroke-width: 3px; }
        .grid { stroke: var(--line); } .sample { stroke: var(--ink); stroke-width: 1.5; opacity: 0.65; }
        rect.process, circle.process { fill: var(--process); } .curve { stroke-width: 2; }
        rect.container, circle.container { fill: var(--container); } rect.machine, circle.machine { fill: var(--machine); }
        rect.restored, circle.restored { fill: var(--restored); }
        .curve.extrapolated { stroke-dasharray: 5 5; } circle.limit { fill: var(--card); stroke-width: 2; }
        circle.limit.process { stroke: var(--process); } circle.limit.container { stroke: var(--container); }
        circle.limit.machine { stroke: var(--machine); } circle.limit.restored { stroke: var(--restored); }
        .curve.process { stroke: var(--process); } .curve.container { stroke: var(--container); }
        .curve.machine { stroke: var(--machine); } .curve.restored { stroke: var(--restored); }
        .step0 { fill: var(--s0); } .step1 { fill: var(--s1); } .step2 { fill: var(--s2); } .step3 { fill: var(--s3); }
        .step4 { fill: var(--s4); } .step5 { fill: var(--s5); }
        table { border-collapse: collapse; width: 100%; font-size: 0.92rem; table-layout: fixed; }
        th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.6rem 0.4rem 0; border-top: 1px solid var(--line);
          overflow-wrap: anywhere; }
        tbody th { font-weight: 500; } thead th, thead td { border-top: 0; }
        thead th.process { color: var(--process); } thead th.container { color: var(--container); }
        thead th.machine { color: var(--machine); } thead th.restored { color: var(--restored); }
        .ratio { color: var(--soft); white-space: nowrap; } .missing { color: var(--soft); font-style: italic; }
        .badge { font-size: 0.75rem; font-weight: 600; border-radius: 99px; padding: 0.1rem 0.55rem; white-space: nowrap; }
        .badge.contained { background: var(--good); color: var(--good-ink); }
        .badge.reached { background: var(--bad); color: var(--bad-ink); }
        .badge.untried { background: var(--line); color: var(--ink); }
        footer { color: var(--soft); font-size: 0.85rem; }
        @media (max-width: 40rem) {
          section { padding: 0.9rem; } thead { display: none; }
          table, tbody, tr, td, th { display: block; } tr { border-top: 1px solid var(--line); padding: 0.4rem 0; }
          td, tbody th { border: 0; padding: 0.1rem 0; } tbody th { font-weight: 600; }
          td[data-label]::before { content: attr(data-label) ": "; color: var(--soft); }
        }
        @media print { section { break-inside: avoid; } }
        """

    /// Lines across whatever this host distorts; a pattern of the page that all its charts use.
    static let patterns = """
        <svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>
        <pattern id="distorted" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <rect width="3" height="7" fill="#ffffff" fill-opacity="0.35"/></pattern></defs></svg>
        """
}
