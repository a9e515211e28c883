// Made by test/docs.py --write from /openapi.json: not to be changed by hand.
export interface ActionPost { unitId: string; resource: string; payload?: string; keyPath?: string }
export interface ActionPreview { handler: string; parameter: string; value: any; status: 'ok' | 'error'; message: string }
export interface AgentTokenPatch { name?: string; config?: string; approval?: boolean; revoked?: boolean; usesMax?: number; expiresAt?: string | null }
export interface AgentTokenPost { unitId: string; name?: string; config?: string; approval?: boolean; usesMax?: number; expiresAt?: string | null; token?: string }
export interface Application { applicationId: string; code: string; unitId: string; unitCode: string; createdAt: string; modifiedAt: string; hostUri: string; name: string; info: Record<string, any> }
export interface ApplicationAdded { applicationId: string }
export interface ApplicationDldata { dataId: string; proc: string; resp?: string; status: number; unitId: string; deviceId?: string; networkCode?: string; networkAddr?: string; profile: string; data: string; extension?: any }
export interface ApplicationDldataPost { deviceId: string; payload: string }
export interface ApplicationPatch { hostUri?: string; name?: string; info?: Record<string, any> }
export interface ApplicationPost { code: string; unitId: string; hostUri: string; name?: string; info?: Record<string, any> }
export interface ApplicationStats { uldata: QueueFigures; dldataResp: QueueFigures; dldataResult: QueueFigures }
export interface ApplicationTestPost { password?: string | null; url?: string | null }
export interface ApplicationUldata { dataId: string; proc: string; pub: string; unitCode: string | null; networkCode: string; networkAddr: string; unitId: string; deviceId: string; time: string; profile: string; data: string; extension?: any }
export interface ArtifactRenamePost { name: string }
export interface AuthSelf { account: string; createdAt: string; modifiedAt: string; verifiedAt: string | null; roles: { admin?: boolean; manager?: boolean; dev?: boolean; service?: boolean }; name: string; info: Record<string, any> }
export interface BackupChange { entity: string; added: number; changed: number; removed: number; names: BackupNames }
export interface BackupFile { backupId: string; fileName: string; fileSize: number; modifiedOn: string }
export interface BackupFileAdded { backupId: string }
export interface BackupImportPost { unitId: string; secret?: string }
export interface BackupNames { added: string[]; changed: string[]; removed: string[] }
export interface BackupPost { prefix?: string; storageExportType?: 'json' | 'yaml'; history?: boolean; metrics?: boolean }
export interface BackupProgress { what: 'none' | 'backup' | 'restore' | 'import'; backupId: string; status: 'idle' | 'running' | 'ok' | 'error'; step: string; percent: number; message: string; startedOn: string | null; endedOn: string | null }
export interface BackupReport { backupId: string; dryRun: boolean; version?: string; createdOn?: string; changes: BackupChange[]; rows?: number; skipped?: BackupSkipped[] }
export interface BackupSkipped { entity: string; id: string; why: string }
export interface ClaimAnswerPost { secret: string }
export interface ClaimPost { publicKey: string; hostName?: string }
export interface Claimed { id: string; deviceId?: string; code?: string; message?: string }
export interface Client { clientId: string; createdAt: string; modifiedAt: string; clientSecret: string | null; redirectUris: string[]; scopes: string[]; userId?: string; name: string; image: string | null }
export interface ClientAdded { clientId: string }
export interface ClientPatch { redirectUris?: string[]; scopes?: string[]; name?: string; image?: string | null }
export interface ClientPost { redirectUris: string[]; scopes: string[]; userId?: string; name: string; image?: string | null }
export interface ConfigurationModulePut { settings: Record<string, any> }
export interface ConfigurationPatch { displayName?: string; identifier?: string; modules?: FleetModuleSettingsGiven[]; tags?: string[] }
export interface ConfigurationPost { displayName: string; identifier?: string; modules?: FleetModuleSettingsGiven[]; tags?: string[]; deviceType?: string }
export interface ConnectionTest { testId: string; unitId: string | null; done: boolean; ok: boolean; stages: TestStage[] }
export interface CoremgrApplication { applicationId: string; code: string; unitId: string; unitCode: string; createdAt: string; modifiedAt: string; hostUri: string; name: string; info: Record<string, any>; ttl?: number; length?: number }
export interface CoremgrApplicationPatch { hostUri?: string; name?: string; info?: Record<string, any>; ttl?: number | null; length?: number | null; password?: string }
export interface CoremgrApplicationPost { code: string; unitId: string; hostUri: string; name?: string; info?: Record<string, any>; ttl?: number | null; length?: number | null }
export interface CoremgrApplicationPosted { applicationId: string; password: string }
export interface CoremgrNetwork { networkId: string; code: string; unitId: string | null; unitCode: string | null; createdAt: string; modifiedAt: string; hostUri: string; name: string; info: Record<string, any>; ttl?: number; length?: number }
export interface CoremgrNetworkPatch { hostUri?: string; name?: string; info?: Record<string, any>; ttl?: number | null; length?: number | null; password?: string }
export interface CoremgrNetworkPost { code: string; unitId?: string | null; hostUri: string; name?: string; info?: Record<string, any>; ttl?: number | null; length?: number | null }
export interface CoremgrNetworkPosted { networkId: string; password: string }
export interface CoremgrOpdata { dataId: string; reqTime: string; resTime: string; latencyMs: number; status: number; sourceIp: string; method: string; path: string; body?: any; userId: string; clientId: string; errCode?: string; errMessage?: string }
export interface CoremgrSelf { account: string; createdAt: string; modifiedAt: string; verifiedAt: string | null; roles: { admin?: boolean; manager?: boolean; dev?: boolean; service?: boolean }; name: string; info: Record<string, any> }
export interface Counted { count: number }
export interface Dampening { type: 'none' | 'consecutive' | 'evaluation' | 'active_duration'; occurrences: number; evaluation: number; activeDuration: string }
export interface DampeningGiven { type?: 'none' | 'consecutive' | 'evaluation' | 'active_duration'; occurrences?: number; evaluation?: number; activeDuration?: string }
export interface Dashboard { id: string; unitId: string; type: string; title: string; description: string; favorite: boolean; disabled: boolean; labels: Record<string, any>; widgets: any; modifiedOn: string | null }
export interface DashboardAdded { id: string }
export interface DashboardPatch { type?: string; title?: string; description?: string; favorite?: boolean; disabled?: boolean; labels?: Record<string, any>; widgets?: any }
export interface DashboardPost { id?: string; unitId: string; type?: string; title: string; description?: string; favorite?: boolean; disabled?: boolean; labels?: Record<string, any>; widgets?: any }
export interface DataRepository { id: string; unitId: string; description: string; readOnly: boolean; labels: Record<string, any>; data: Record<string, any>; modifiedOn: string | null }
export interface DataRepositoryAdded { id: string }
export interface DataRepositoryPatch { description?: string; readOnly?: boolean; labels?: Record<string, any>; data?: Record<string, any> }
export interface DataRepositoryPost { id?: string; unitId: string; description?: string; readOnly?: boolean; labels?: Record<string, any>; data?: Record<string, any> }
export interface Delivered { targets: number }
export interface DeploymentPost { commit?: string; message?: string; configs?: string[]; tags?: string[]; devices?: string[]; canary?: number; atOnce?: number; maxFailures?: number; checks?: any; rollback?: 'all' | 'device' }
export interface Device { deviceId: string; unitId: string; unitCode: string | null; networkId: string; networkCode: string; networkAddr: string; createdAt: string; modifiedAt: string; profile: string; name: string; info: Record<string, any> }
export interface DeviceAccessPost { seconds?: number }
export interface DeviceAdded { deviceId: string }
export interface DeviceBulkDeletePost { unitId: string; networkId: string; networkAddrs: string[] }
export interface DeviceBulkPost { unitId: string; networkId: string; networkAddrs: string[]; profile?: string }
export interface DevicePatch { networkId?: string; networkAddr?: string; profile?: string; name?: string; info?: Record<string, any> }
export interface DevicePost { unitId: string; networkId: string; networkAddr: string; profile?: string; name?: string; info?: Record<string, any> }
export interface DeviceRangeDeletePost { unitId: string; networkId: string; startAddr: string; endAddr: string }
export interface DeviceRangePost { unitId: string; networkId: string; startAddr: string; endAddr: string; profile?: string }
export interface DeviceRoute { routeId: string; unitId: string; applicationId: string; applicationCode: string; deviceId: string; networkId: string; networkCode: string; networkAddr: string; profile: string; createdAt: string; modifiedAt: string }
export interface DeviceRouteAdded { routeId: string }
export interface DeviceRouteBulkDeletePost { applicationId: string; networkId: string; networkAddrs: string[] }
export interface DeviceRouteBulkPost { applicationId: string; networkId: string; networkAddrs: string[] }
export interface DeviceRoutePost { applicationId: string; deviceId: string }
export interface DeviceRouteRangeDeletePost { applicationId: string; networkId: string; startAddr: string; endAddr: string }
export interface DeviceRouteRangePost { applicationId: string; networkId: string; startAddr: string; endAddr: string }
export interface DldataBuffer { dataId: string; unitId: string; applicationId: string; applicationCode: string; deviceId: string; networkId: string; networkAddr: string; createdAt: string; expiredAt: string }
export interface Enrolment { id: string; unitId: string; gatewayId: string; networkAddr: string; name: string; certKey: string; thumbprint: string; blocked: boolean; createdAt: string; by: 'secret' | 'certificate' | 'authority' }
export interface EnrolmentAdded { id: string }
export interface EnrolmentPatch { blocked?: boolean }
export interface EnrolmentPost { unitId: string; gatewayId: string; name: string; thumbprint: string }
export interface EventFilter { eventTypes: ('created' | 'updated' | 'deleted' | 'requested')[]; entityTypes: string[]; filters: Record<string, any> }
export interface EventFilterGiven { eventTypes?: ('created' | 'updated' | 'deleted' | 'requested')[]; entityTypes?: string[]; filters?: Record<string, any> }
export interface Field { id: string; unitId: string; deviceId: string; gatewayId: string; nodeId: string; sourceId: string; fieldId: string; name: string; metricType: 'none' | 'string' | 'counter' | 'gauge' | 'gauge_float' | 'binary' | 'geo'; current: Value; previous: Value; formatter: Formatter; unit: string; labels: Record<string, any>; others: Record<string, any>; noChangeSince: string | null; lastSeen: string | null; modifiedOn: string | null }
export interface FieldPatch { name?: string; metricType?: 'none' | 'string' | 'counter' | 'gauge' | 'gauge_float' | 'binary' | 'geo'; formatter?: FormatterGiven; unit?: string; labels?: Record<string, any> }
export interface File { name: string; internalName: string; checksum: string; size: number; modifiedOn: string | null }
export interface Firmware { id: string; unitId: string; description: string; file: File; labels: Record<string, any>; modifiedOn: string | null }
export interface FirmwareAdded { id: string }
export interface FirmwarePatch { description?: string; labels?: Record<string, any> }
export interface FirmwarePost { id?: string; unitId: string; description?: string; labels?: Record<string, any> }
export interface FleetAccessGiven { token: string; expiresAt: string }
export interface FleetAgentToken { id: string; unitId: string; name: string; hint: string; config: string; approval: boolean; revoked: boolean; usesMax: number; uses: number; expiresAt: string | null; lastUsed: string | null; createdAt: string; modifiedOn: string | null }
export interface FleetAgentTokenAdded { id: string; token: string }
export interface FleetArtifact { name: string; mediaType: string; size: number; modifiedAt: string }
export interface FleetChange { what: 'configuration' | 'tag' | 'input'; kind: 'add' | 'change' | 'remove'; identifier: string; displayName: string; module: string | null; setting: string | null; from: any; to: any }
export interface FleetChanged { identifier?: string; faults: FleetFault[] }
export interface FleetClaimAsk { publicKey: string }
export interface FleetClaimPost { unitId: string; code: string; config?: string; name?: string }
export interface FleetClaimedAdded { hostName: string; sshPublicKey: string; tokenId: string }
export interface FleetCommit { commit: string; shortCommit: string; message: string; author: string; email: string; time: string; parents: string[] }
export interface FleetCommitted { commit: string; changes: FleetChange[]; faults: any }
export interface FleetConfiguration { displayName: string; identifier: string; modules: FleetModuleSettings[]; tags: string[] }
export interface FleetConfigurationGiven { displayName?: string; identifier?: string; modules?: FleetModuleSettingsGiven[]; tags?: string[] }
export interface FleetConnection { id: string; unitId: string; deviceId: string; address: string; connectedAt: string; disconnectedAt: string | null; reason: string }
export interface FleetDefinition { module: string; setting: string; value: any; tag: string | null; priority: number; wins: boolean; conflict: boolean }
export interface FleetDeployment { id: string; unitId: string; commit: string; message: string; configs: string[]; tags: string[]; devices: string[]; canary: number; atOnce: number; maxFailures: number; checks: any; rollback: 'all' | 'device'; state: 'planning' | 'planned' | 'running' | 'done' | 'failed' | 'rolledBack' | 'cancelled'; reason: string; outcome: string; userId: string; account: string; deviceCount: number; createdAt: string; startedAt: string | null; endedAt: string | null }
export interface FleetDeploymentAdded { id: string }
export interface FleetDeploymentDevice { id: string; unitId: string; deploymentId: string; deviceId: string; deviceName: string; config: string; position: number; canary: boolean; state: 'queued' | 'waiting' | 'build' | 'plan' | 'planned' | 'copy' | 'apply' | 'checks' | 'confirm' | 'rollback' | 'done' | 'failed' | 'rolledBack' | 'cancelled' | 'superseded' | 'missed'; reason: string; built: string; run: string; attempts: number; beforeBuilt: string; beforeConfig: string; beforeCommit: string; changes: any; createdAt: string; startedAt: string | null; endedAt: string | null }
export interface FleetDeploymentDeviceRetry { id: string }
export interface FleetDeploymentRetry { id: string }
export interface FleetDevice { id: string; unitId: string; name: string; hubDeviceId: string; sshPublicKey: string; address: string; sshPort: number; sshUser: string; config: string; deployedConfig: string; deployedCommit: string; deployedBuilt: string; pendingConfig: string; state: 'waiting' | 'active' | 'archived'; drift: Record<string, any>; location: string; notes: string; networkInterfaces: any; ramBytes: number; firstSeen: string | null; lastSeen: string | null; enrolledBy: string; createdAt: string; modifiedOn: string | null; connected: boolean }
export interface FleetDeviceAdded { id: string }
export interface FleetDevicePatch { name?: string; hubDeviceId?: string; sshPublicKey?: string; address?: string; sshPort?: number; sshUser?: string; config?: string; state?: 'waiting' | 'active' | 'archived'; location?: string; notes?: string }
export interface FleetDevicePost { unitId: string; name?: string; hubDeviceId?: string; sshPublicKey?: string; address?: string; sshPort?: number; sshUser?: string; config?: string; location?: string; notes?: string }
export interface FleetDiff { from: string | null; to: string | null; text: string; cut: boolean; files: FleetFile[]; changes: FleetChange[] }
export interface FleetDrift { at: string | null; changed: boolean; config: string; commit: string; changes: any }
export interface FleetFault { where: string; what: string }
export interface FleetFile { path: string; status: 'add' | 'change' | 'remove'; diff?: string }
export interface FleetHardware { id: string; unitId: string; hardwareIds: Record<string, any>; deviceId: string; lastSeen: string | null; createdAt: string }
export interface FleetInput { name: string; url: string | null; follows: string | null; type: string | null; host: string | null; owner: string | null; repo: string | null; ref: string | null; rev: string | null; status: string; details: string | null; modules: string[]; faults: string[]; locked: any }
export interface FleetInputTest { ok: boolean; details: string | null; locked: any }
export interface FleetInputUpdate { faults: any }
export interface FleetLog { id: string; unitId: string; deviceId: string; timestamp: string; message: string; host: string; program: string; tag: string; facility: number; severity: number }
export interface FleetMetric { id: string; unitId: string; deviceId: string; timestamp: string; cpuPercent: number | null; ramPercent: number | null; diskPercent: number | null }
export interface FleetModule { type: string; displayName: string; description: string | null; category: string | null; icon: string | null; iconDark: string | null; targets: string[]; eachSource: boolean; input: string | null; settings: Record<string, any> }
export interface FleetModuleSettings { type: string; settings: Record<string, any> }
export interface FleetModuleSettingsGiven { type?: string; settings?: Record<string, any> }
export interface FleetPreview { target: string | null; files: any; faults: any }
export interface FleetRemote { id: string; unitId: string; name: string; url: string; branch: string; user: string; secretId: string; commit: string; fault: string; triedAt: string | null; createdAt: string; modifiedOn: string | null }
export interface FleetRemoteAdded { id: string }
export interface FleetRemoteState { commit: string | null; branch: string; state: 'same' | 'ahead' | 'behind' | 'diverged' | 'empty' }
export interface FleetSecret { id: string; unitId: string; name: string; type: 'single_line' | 'multi_line' | 'env_list' | 'file'; filename: string; processing: 'none' | 'mkpasswd-yescrypt'; size: number; includeInImage: boolean; createdAt: string; modifiedOn: string | null }
export interface FleetSecretAdded { id: string }
export interface FleetSecretChanged { secret: string; secretBase64: string }
export interface FleetState { version: string; repositories: Record<string, any>; tags: FleetTag[]; configs: FleetConfiguration[] }
export interface FleetStatus { head: FleetCommit; branch: string | null; changes: FleetFile[]; more: boolean; stateChanges: FleetChange[]; faults: any; fault: string | null }
export interface FleetTag { displayName: string; identifier: string; priority: number; modules: FleetModuleSettings[] }
export interface FleetTagGiven { displayName?: string; identifier?: string; priority?: number; modules?: FleetModuleSettingsGiven[] }
export interface FleetTask { id: string; unitId: string; deploymentId: string; deploymentDeviceId: string; deviceId: string; deviceName: string; config: string; commit: string; kind: 'build' | 'plan' | 'copy' | 'apply' | 'checks' | 'confirm' | 'rollback'; state: 'running' | 'done' | 'failed' | 'cancelled'; reason: string; done: number; expected: number; outputSize: number; outputCut: boolean; createdAt: string; endedAt: string | null }
export interface FleetTaskRetry { id: string }
export interface FleetUnitKey { publicKey: string }
export interface Formatter { onReceive: string }
export interface FormatterGiven { onReceive?: string }
export interface ForwardPayload { id: string; unitId: string; description: string; enabled: boolean; srcFieldId: string; dstFieldId: string; labels: Record<string, any>; modifiedOn: string | null }
export interface ForwardPayloadAdded { id: string }
export interface ForwardPayloadPatch { description?: string; enabled?: boolean; srcFieldId?: string; dstFieldId?: string; labels?: Record<string, any> }
export interface ForwardPayloadPost { id?: string; unitId: string; description?: string; enabled?: boolean; srcFieldId: string; dstFieldId: string; labels?: Record<string, any> }
export interface Gateway { id: string; unitId: string; unitCode: string; code: string; description: string; enabled: boolean; claim: 'auto' | 'inbox'; reconnectDelay: string; queueFailedMessage: boolean; provider: Record<string, any>; messageLogger: Record<string, any>; labels: Record<string, any>; createdAt: string; modifiedOn: string | null; state: State; lastTransaction: string | null; counters: GatewayCounters }
export interface GatewayAdded { id: string }
export interface GatewayCounters { heard: number; taken: number; sent: number; failed: number; bad: number; dropped: number; waiting: number; sleeping: number }
export interface GatewayPatch { description?: string; enabled?: boolean; claim?: 'auto' | 'inbox'; reconnectDelay?: string; queueFailedMessage?: boolean; provider?: Record<string, any>; messageLogger?: Record<string, any>; labels?: Record<string, any>; password?: string | null }
export interface GatewayPost { id?: string; unitId: string; code: string; description?: string; enabled?: boolean; claim?: 'auto' | 'inbox'; reconnectDelay?: string; queueFailedMessage?: boolean; provider: Record<string, any>; messageLogger?: Record<string, any>; labels?: Record<string, any>; password?: string | null }
export interface GatewayTestPost { listenMs?: number }
export interface Handler { id: string; unitId: string; description: string; enabled: boolean; labels: Record<string, any>; type: 'resource' | 'backup' | 'email' | 'mqtt' | 'noop' | 'telegram' | 'webhook'; spec: Record<string, any>; state: State; modifiedOn: string | null }
export interface HandlerAdded { id: string }
export interface HandlerPatch { description?: string; enabled?: boolean; labels?: Record<string, any>; spec?: Record<string, any> }
export interface HandlerPost { id?: string; unitId: string; description?: string; enabled?: boolean; labels?: Record<string, any>; type: 'resource' | 'backup' | 'email' | 'mqtt' | 'noop' | 'telegram' | 'webhook'; spec?: Record<string, any> }
export interface HandlerStage { stage: string; status: 'ok' | 'error' | 'waiting'; message: string; took?: number; attempts?: number }
export interface HandlerTestPost { parameter?: Record<string, any> | null }
export interface HandlerTested { stages: HandlerStage[] }
export interface HandlerType { type: string; takes: string | null; spec: Record<string, any> | null; parameter: Record<string, any> | null; secrets: string[] }
export interface HubBackup { backupId: string; fileName: string; fileSize: number; modifiedOn: string; product: string; version: string | null; createdOn: string | null; storageExportType: string; files: number }
export interface HubBackupUpload { backupId: string }
export interface Inbox { id: string; unitId: string; networkId: string; networkCode: string; networkAddr: string; guess: string; data: string; count: number; firstSeen: string; lastSeen: string }
export interface InboxClaimPost { ids: string[]; unitId?: string | null; profile?: string; name?: string }
export interface Listener { scheme: string; host: string; port: number; local: boolean }
export interface MetricPoint { timestamp: string; metricType: 'none' | 'string' | 'counter' | 'gauge' | 'gauge_float' | 'binary' | 'geo'; metric: Record<string, any> }
export interface MetricPost { unitId: string; queries: MetricQueryGiven[] }
export interface MetricQueryGiven { name?: string; quickId?: string; start?: string; stop?: string; window?: string; functions?: string[] }
export interface Network { networkId: string; code: string; unitId: string | null; unitCode: string | null; createdAt: string; modifiedAt: string; hostUri: string; name: string; info: Record<string, any> }
export interface NetworkAdded { networkId: string }
export interface NetworkDldata { dataId: string; proc: string; pub: string; resp?: string; status: number; unitId: string; deviceId: string; networkCode: string; networkAddr: string; profile: string; data: string; extension?: any }
export interface NetworkPatch { hostUri?: string; name?: string; info?: Record<string, any> }
export interface NetworkPost { code: string; unitId?: string | null; hostUri: string; name?: string; info?: Record<string, any> }
export interface NetworkRoute { routeId: string; unitId: string; applicationId: string; applicationCode: string; networkId: string; networkCode: string; createdAt: string }
export interface NetworkRouteAdded { routeId: string }
export interface NetworkRoutePost { applicationId: string; networkId: string }
export interface NetworkStats { dldata: QueueFigures; ctrl: QueueFigures }
export interface NetworkTestPost { password?: string | null; url?: string | null }
export interface NetworkUldata { dataId: string; proc: string; unitCode: string | null; networkCode: string; networkAddr: string; unitId?: string; deviceId?: string; time: string; profile: string; data: string; extension?: any }
export interface NetworkUldataPost { deviceId: string; payload: string }
export interface Node { id: string; unitId: string; gatewayId: string; nodeId: string; name: string; state: State; labels: Record<string, any>; others: Record<string, any>; lastSeen: string | null; modifiedOn: string | null }
export interface NodePatch { name?: string; labels?: Record<string, any> }
export interface Oauth2Tokens { access_token: string; refresh_token?: string; token_type: string; expires_in: number; scope: string }
export interface Operation { id: string; unitId: string; deviceId: string; gatewayId: string; nodeId: string; operation: string; service: string; payload: Record<string, any>; status: 'pending' | 'executing' | 'successful' | 'failed'; reason: string; result: Record<string, any>; userId: string; createdAt: string; modifiedOn: string | null }
export interface OperationAdded { id: string }
export interface OperationPost { unitId: string; deviceId: string; operation: string; service?: string; payload?: Record<string, any> }
export interface OrderPatch { configurations?: string[]; tags?: string[] }
export interface PlanPost { commit?: string; message?: string; configs?: string[]; tags?: string[]; devices?: string[]; canary?: number; atOnce?: number; maxFailures?: number; checks?: any; rollback?: 'all' | 'device' }
export interface Profile { id: string; unitId: string; code: string; name: string; codec: 'none' | 'json' | 'cayenne' | 'thin_edge_json' | 'javascript'; script: string; paths: Record<string, any>; fields: Record<string, any>; modifiedOn: string | null }
export interface ProfileAdded { id: string }
export interface ProfilePatch { name?: string; codec?: 'none' | 'json' | 'cayenne' | 'thin_edge_json' | 'javascript'; script?: string; paths?: Record<string, any>; fields?: Record<string, any> }
export interface ProfilePost { unitId: string; code: string; name?: string; codec?: 'none' | 'json' | 'cayenne' | 'thin_edge_json' | 'javascript'; script?: string; paths?: Record<string, any>; fields?: Record<string, any> }
export interface ProfileTryPost { unitId: string; codec?: 'none' | 'json' | 'cayenne' | 'thin_edge_json' | 'javascript'; script?: string; paths?: Record<string, any>; fields?: Record<string, any>; way?: string; data?: string; fPort?: number; time?: string | null; value?: Record<string, any> }
export interface ProgramVersion { name: string; version: string }
export interface Queue { name: string; consumers: number; messages: number; publishRate: number; deliverRate: number; bytes: number; refused: number; expired: number; last: string | null }
export interface QueueEnd { id: string; received: number; lastReceived: string | null; queues: Queue[] }
export interface QueueFigures { consumers: number; messages: number; publishRate: number; deliverRate: number }
export interface RemotePatch { name?: string; url?: string; branch?: string; user?: string; secretId?: string }
export interface RemotePost { unitId: string; name: string; url: string; branch?: string; user?: string; secretId?: string }
export interface RepositoryCommitPost { message: string }
export interface RepositoryRestorePost { commit: string; configuration?: string | null; message?: string | null }
export interface RepositoryRevertPost { commit: string; configuration?: string | null; message?: string | null }
export interface Schedule { id: string; unitId: string; description: string; enabled: boolean; labels: Record<string, any>; validity: Validity; type: 'repeat' | 'cron' | 'simple' | 'sunrise' | 'sunset'; spec: Record<string, any>; variables: Record<string, any>; customVariableType: 'none' | 'javascript' | 'webhook'; customVariableConfig: Record<string, any>; handlerParameters: Record<string, any>; handlers: string[]; state: ScheduleState; modifiedOn: string | null }
export interface ScheduleAdded { id: string }
export interface SchedulePatch { description?: string; enabled?: boolean; labels?: Record<string, any>; validity?: ValidityGiven; type?: 'repeat' | 'cron' | 'simple' | 'sunrise' | 'sunset'; spec?: Record<string, any>; variables?: Record<string, any>; customVariableType?: 'none' | 'javascript' | 'webhook'; customVariableConfig?: Record<string, any>; handlerParameters?: Record<string, any>; handlers?: string[] }
export interface SchedulePost { id?: string; unitId: string; description?: string; enabled?: boolean; labels?: Record<string, any>; validity?: ValidityGiven; type: 'repeat' | 'cron' | 'simple' | 'sunrise' | 'sunset'; spec: Record<string, any>; variables?: Record<string, any>; customVariableType?: 'none' | 'javascript' | 'webhook'; customVariableConfig?: Record<string, any>; handlerParameters?: Record<string, any>; handlers?: string[] }
export interface ScheduleState { lastRun: string | null; lastStatus: boolean; message: string; executedCount: number }
export interface ScheduleTried { next: string[]; timeZone: string }
export interface ScheduleTryPost { id?: string; unitId: string; description?: string; enabled?: boolean; labels?: Record<string, any>; validity?: ValidityGiven; type: 'repeat' | 'cron' | 'simple' | 'sunrise' | 'sunset'; spec: Record<string, any>; variables?: Record<string, any>; customVariableType?: 'none' | 'javascript' | 'webhook'; customVariableConfig?: Record<string, any>; handlerParameters?: Record<string, any>; handlers?: string[] }
export interface SecretPatch { name?: string; type?: 'single_line' | 'multi_line' | 'env_list' | 'file'; filename?: string; processing?: 'none' | 'mkpasswd-yescrypt'; includeInImage?: boolean; secret?: string; secretBase64?: string }
export interface SecretPost { unitId: string; name: string; type?: 'single_line' | 'multi_line' | 'env_list' | 'file'; filename?: string; processing?: 'none' | 'mkpasswd-yescrypt'; includeInImage?: boolean; id?: string; secret?: string; secretBase64?: string }
export interface SelfPatch { password?: string; name?: string; info?: Record<string, any> }
export interface ServiceToken { id: string; userId: string; unitId: string | null; name: string; description: string; scopes: string[]; neverExpire: boolean; expiresOn: string | null; labels: Record<string, any>; createdAt: string; modifiedAt: string; lastUsedAt: string | null }
export interface ServiceTokenAdded { id: string; token: string }
export interface ServiceTokenPatch { name?: string; description?: string; scopes?: string[]; neverExpire?: boolean; expiresOn?: string | null; labels?: Record<string, any> }
export interface ServiceTokenPost { userId?: string; unitId?: string | null; name: string; description?: string; scopes?: string[]; neverExpire?: boolean; expiresOn?: string | null; labels?: Record<string, any> }
export interface Setting { id: string; type: 'text' | 'number' | 'boolean' | 'choice' | 'object' | 'size' | 'time'; value: string | null; start: string | null; default: string | null; source: 'default' | 'environment' | 'flag' | 'file' | 'runtime'; min: number | null; max: number | null; choices: string[]; help: string; userId: string | null; modifiedOn: string | null }
export interface SettingPatch { value: string | null }
export interface SimulatedDevice { deviceId: string; name: string; networkAddr: string; profile: string }
export interface SimulatorMade { kind: string; id: string; name: string }
export interface SimulatorStartPost { unitId?: string | null }
export interface SimulatorState { unitId: string; unitCode: string; running: boolean; available: boolean; message: string | null; startedAt: string | null; until: string | null; sent: number; answered: number; devices: SimulatedDevice[]; made: SimulatorMade[] }
export interface SimulatorStopPost { unitId: string | null }
export interface Site { name: string; version: string; startedAt: string; listeners: Listener[]; storage?: Storage }
export interface Sleeping { nodeId: string; data: string; extension: any; since: string; until: string | null }
export interface Software { id: string; unitId: string; deviceId: string; page: number; of: number; modules: any; modifiedOn: string | null }
export interface Source { id: string; unitId: string; deviceId: string; gatewayId: string; nodeId: string; sourceId: string; name: string; labels: Record<string, any>; others: Record<string, any>; lastSeen: string | null; modifiedOn: string | null }
export interface SourcePatch { name?: string; labels?: Record<string, any> }
export interface Span { from: string; to: string }
export interface SpanGiven { from?: string; to?: string }
export interface State { status: 'unavailable' | 'up' | 'down' | 'ok' | 'error'; message: string; since: string | null }
export interface StatePatch { version?: string; repositories?: Record<string, any>; tags?: FleetTagGiven[]; configs?: FleetConfigurationGiven[] }
export interface Storage { used: number; free: number; total: number; stores: StoredFile[] }
export interface StoredFile { name: string; bytes: number }
export interface TagModulePut { settings: Record<string, any> }
export interface TagPatch { displayName?: string; identifier?: string; priority?: number; modules?: FleetModuleSettingsGiven[] }
export interface TagPost { displayName: string; identifier?: string; priority?: number; modules?: FleetModuleSettingsGiven[] }
export interface Task { id: string; unitId: string; description: string; labels: Record<string, any>; enabled: boolean; ignoreDuplicate: boolean; autoDisable: boolean; reEnable: boolean; reEnableDuration: string; variables: Record<string, any>; dampening: Dampening; triggerOnEvent: boolean; eventFilter: EventFilter; executionInterval: string; evaluationType: 'rule' | 'javascript' | 'webhook'; evaluationConfig: Record<string, any>; handlerParameters: Record<string, any>; handlers: string[]; state: TaskState; modifiedOn: string | null }
export interface TaskAdded { id: string }
export interface TaskPatch { description?: string; labels?: Record<string, any>; enabled?: boolean; ignoreDuplicate?: boolean; autoDisable?: boolean; reEnable?: boolean; reEnableDuration?: string; variables?: Record<string, any>; dampening?: DampeningGiven; triggerOnEvent?: boolean; eventFilter?: EventFilterGiven; executionInterval?: string; evaluationType?: 'rule' | 'javascript' | 'webhook'; evaluationConfig?: Record<string, any>; handlerParameters?: Record<string, any>; handlers?: string[] }
export interface TaskPost { id?: string; unitId: string; description?: string; labels?: Record<string, any>; enabled?: boolean; ignoreDuplicate?: boolean; autoDisable?: boolean; reEnable?: boolean; reEnableDuration?: string; variables?: Record<string, any>; dampening?: DampeningGiven; triggerOnEvent?: boolean; eventFilter?: EventFilterGiven; executionInterval?: string; evaluationType?: 'rule' | 'javascript' | 'webhook'; evaluationConfig?: Record<string, any>; handlerParameters?: Record<string, any>; handlers?: string[] }
export interface TaskState { lastEvaluation: string | null; lastSuccess: string | null; message: string; lastStatus: boolean; executedCount: number; activeSince: string | null; executionsHistory: any }
export interface TaskTried { event: any; variables: Record<string, any> | null; isTriggered: boolean; message: string; took: number; actions: ActionPreview[] }
export interface TaskTryPost { id?: string; unitId: string; description?: string; labels?: Record<string, any>; enabled?: boolean; ignoreDuplicate?: boolean; autoDisable?: boolean; reEnable?: boolean; reEnableDuration?: string; variables?: Record<string, any>; dampening?: DampeningGiven; triggerOnEvent?: boolean; eventFilter?: EventFilterGiven; executionInterval?: string; evaluationType?: 'rule' | 'javascript' | 'webhook'; evaluationConfig?: Record<string, any>; handlerParameters?: Record<string, any>; handlers?: string[]; quickId?: string }
export interface TestPost { unitId: string; gatewayId?: string | null; code?: string | null; provider: Record<string, any> | null; listenMs?: number }
export interface TestStage { name: string; status: 'ok' | 'failed' | 'skipped' | 'running'; ms: number; message: string; advice: string }
export interface Tokeninfo { userId: string; account: string; roles: { admin?: boolean; manager?: boolean; dev?: boolean; service?: boolean }; name: string; clientId: string; scopes: string[] }
export interface TopicPublishPost { unitId?: string | null; topic: string; payload?: string; base64?: string | null; qos?: number; retain?: boolean }
export interface Trace { id: string; unitId: string; rule: string; timestamp: string; event: any; variables: any; isTriggered: boolean; isFired: boolean; message: string; actions: any; took: number }
export interface Tried { error?: string; line?: number; tookMs: number; console: string; result?: any; timestamp?: string; data?: string; fPort?: number; fields: TriedField[] }
export interface TriedField { sourceId: string; fieldId: string; name: string; value: any; metricType: string; unit: string; nodeOther?: string; problem?: string }
export interface Unit { unitId: string; code: string; createdAt: string; modifiedAt: string; ownerId: string; memberIds: string[]; name: string; info: Record<string, any> }
export interface UnitAdded { unitId: string }
export interface UnitPatch { ownerId?: string; memberIds?: string[]; name?: string; info?: Record<string, any> }
export interface UnitPost { code: string; ownerId?: string; name?: string; info?: Record<string, any> }
export interface User { userId: string; account: string; createdAt: string; modifiedAt: string; verifiedAt: string | null; expiredAt?: string | null; disabledAt?: string | null; roles: { admin?: boolean; manager?: boolean; dev?: boolean; service?: boolean }; name: string; info: Record<string, any> }
export interface UserAdded { userId: string }
export interface UserPatch { verifiedAt?: string | null; roles?: { admin?: boolean; manager?: boolean; dev?: boolean; service?: boolean }; password?: string; name?: string; info?: Record<string, any> }
export interface UserPost { account: string; password: string; name?: string; info?: Record<string, any> }
export interface Validity { enabled: boolean; date: Span; time: Span; validateTimeEveryday: boolean }
export interface ValidityGiven { enabled?: boolean; date?: SpanGiven; time?: SpanGiven; validateTimeEveryday?: boolean }
export interface Value { value: any; isReceived: boolean; timestamp: string | null }
export interface Version { versionId: string; changeId: string; unitId: string | null; objectType: string; objectId: string; number: number; time: string; userId: string | null; account: string | null; verb: string; comment: string | null; object?: Record<string, any> }
export interface VersionCompanion { objectType: string; objectId: string; code?: string; message?: string }
export interface VersionDifference { path: string; before?: any; after?: any }
export interface VersionRestored { versionId: string | null; objectType: string; objectId: string; done: string; changed: VersionDifference[]; kept: string[]; restored: VersionCompanion[]; failed: VersionCompanion[] }
