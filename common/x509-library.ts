// The one door to @peculiar/x509, which throws on import unless reflect-metadata was loaded before it.
import 'reflect-metadata'

export * from '@peculiar/x509'
