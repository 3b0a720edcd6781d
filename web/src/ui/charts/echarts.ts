/** The parts of ECharts in use, and nothing else of it. Imported only by lazily loaded pages. */

import { GaugeChart, LineChart } from 'echarts/charts'
import { GridComponent, TooltipComponent } from 'echarts/components'
import { init, use, type EChartsCoreOption, type EChartsType } from 'echarts/core'
import { CanvasRenderer } from 'echarts/renderers'

use([GaugeChart, LineChart, GridComponent, TooltipComponent, CanvasRenderer])

export { init, type EChartsCoreOption, type EChartsType }
