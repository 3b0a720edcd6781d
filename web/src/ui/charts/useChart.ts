/** An ECharts instance bound to an element: follows its size, its option and the theme. */

import { onBeforeUnmount, onMounted, watch, type Ref } from 'vue'

import { usePreferences } from '@/app/preferences'

import { init, type EChartsCoreOption, type EChartsType } from './echarts'

export interface ChartColours {
  text: string
  faint: string
  track: string
  border: string
  surface: string
  accent: string
  warn: string
  bad: string
}

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--rg-${name}`).trim()
}

function colours(): ChartColours {
  return {
    text: token('text'),
    faint: token('text-3'),
    track: token('idle-soft'),
    border: token('border'),
    surface: token('surface'),
    accent: token('accent'),
    warn: token('warn'),
    bad: token('bad'),
  }
}

function common(): EChartsCoreOption {
  const calm = window.matchMedia('(prefers-reduced-motion: reduce)').matches
  return { textStyle: { fontFamily: token('font') }, ...(calm ? { animation: false } : {}) }
}

export function useChart(
  element: Ref<HTMLElement | null>,
  option: (colours: ChartColours) => EChartsCoreOption,
): void {
  const preferences = usePreferences()
  let chart: EChartsType | null = null
  let observer: ResizeObserver | null = null

  onMounted(() => {
    if (!element.value) return
    chart = init(element.value)
    observer = new ResizeObserver(() => chart?.resize())
    observer.observe(element.value)
    // The colours are read from the page, which has its new theme after the flush.
    watch(
      [() => option(colours()), () => preferences.isDark],
      () => chart?.setOption({ ...common(), ...option(colours()) }),
      {
        immediate: true,
        flush: 'post',
      },
    )
  })

  onBeforeUnmount(() => {
    observer?.disconnect()
    chart?.dispose()
  })
}
